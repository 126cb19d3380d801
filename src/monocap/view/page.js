// The viewer: video with the bodies drawn over it, and the same bodies in space, both at the frame of one clock.
// FACTS (see page.py) holds times, cameras, people; the GLB holds the bodies. One canvas lies over both panes.
(async () => {
  "use strict";
  const $ = (id) => document.getElementById(id);
  const facts = JSON.parse($("facts").textContent);
  const bytes = (text) => Uint8Array.from(atob(text.trim()), (c) => c.charCodeAt(0));
  const floats = (text) => new Float32Array(bytes(text).buffer);
  const times = new Float64Array(bytes(facts.time).buffer);
  const K = floats(facts.K), pose = floats(facts.T_world_camera); // of one frame if they never change
  const last = times.length - 1;
  const step = last > 0 ? (times[last] - times[0]) / last : 1;
  const of = (array, size, frame) => array.subarray(...(array.length === size ? [0, size] : [frame * size, frame * size + size]));

  let now = times[0], frame = 0, playing = false, dirty = true, speed = 1, before = performance.now();

  // ---- picture: a video, a photo, or nothing
  const media = facts.media && document.createElement(facts.media.kind === "video" ? "video" : "img");
  const video = facts.media?.kind === "video" ? media : null;
  if (media) {
    const inside = $("media").textContent.trim();
    media.src = inside ? URL.createObjectURL(new Blob([bytes(inside)], { type: facts.media.type })) : facts.media.file;
    if (video) Object.assign(video, { muted: true, playsInline: true, preload: "auto" });
    media.addEventListener("error", () => say(`The ${facts.media.kind} cannot be shown${inside ? "" : `: ${facts.media.file} must lie beside this page`}.`));
    $("picture").append(media);
  } else {
    document.body.classList.add("alone");
    $("overlay-label").hidden = true;
  }
  function say(text) {
    $("message").textContent = text;
    $("message").hidden = false;
  }

  // ---- scene
  const scene = new THREE.Scene();
  const lit = (light) => { light.layers.enableAll(); scene.add(light); return light; };
  lit(new THREE.HemisphereLight(0xffffff, 0xb0a79c, 1.7));
  const sun = lit(new THREE.DirectionalLight(0xffffff, 1.9));
  const ONLY_SPACE = 1; // layer of what the overlay does not show
  const inSpace = (object) => { object.layers.set(ONLY_SPACE); scene.add(object); return object; };
  const [low, high] = facts.bounds.map((p) => new THREE.Vector3(...p));
  const middle = low.clone().add(high).multiplyScalar(0.5);
  const extent = Math.max(high.clone().sub(low).length(), 1.8);
  const squares = 2 * Math.ceil(extent + 3);
  const grid = inSpace(new THREE.GridHelper(squares, squares, 0xaeb4bc, 0xd3d7dc));
  grid.position.set(Math.round(middle.x), 0, Math.round(middle.z));
  const floor = inSpace(new THREE.Mesh(new THREE.PlaneGeometry(squares, squares), new THREE.ShadowMaterial({ opacity: 0.22 })));
  floor.rotation.x = -Math.PI / 2;
  floor.position.set(grid.position.x, 0.002, grid.position.z);
  floor.receiveShadow = true;
  sun.castShadow = true;
  sun.shadow.mapSize.set(2048, 2048);
  const half = extent / 2 + 1.5;
  Object.assign(sun.shadow.camera, { left: -half, right: half, top: half, bottom: -half, near: 0.1, far: 40 });
  sun.shadow.normalBias = 0.02;
  sun.position.copy(middle).add(new THREE.Vector3(3, 9, 4));
  sun.target.position.copy(middle);
  scene.add(sun.target);

  // ---- people
  const gltf = await new THREE.GLTFLoader().parseAsync(bytes($("model").textContent).buffer, "");
  scene.add(gltf.scene);
  const mixer = new THREE.AnimationMixer(gltf.scene);
  const actions = gltf.animations.map((clip) => mixer.clipAction(clip).setLoop(THREE.LoopOnce).play());
  const people = facts.people.map((person, row) => {
    const mesh = gltf.scene.getObjectByName(`${person.name}_body`);
    const root = mesh.skeleton.bones[0];
    mesh.frustumCulled = false;
    mesh.castShadow = true;
    mesh.material = Object.assign(mesh.material.clone(), { transparent: true });
    if (facts.people.length > 1) {
      mesh.material.color.lerp(new THREE.Color(person.colour), 0.6);
    }
    const label = document.createElement("label");
    const box = Object.assign(document.createElement("input"), { type: "checkbox", checked: true });
    const dot = document.createElement("i");
    dot.style.background = person.colour;
    label.append(box, dot, `Person ${person.track_id}`);
    box.addEventListener("change", () => { mesh.visible = box.checked; dirty = true; });
    $("people").append(label);
    lane(person, bytes(person.seen));
    return { ...person, mesh, root, box };
  });
  function lane(person, seen) { // when this person is seen, above the slider
    const strip = Object.assign(document.createElement("canvas"), { width: Math.min(seen.length, 2048), height: 1 });
    const paint = strip.getContext("2d");
    paint.fillStyle = "#e6e9ed";
    paint.fillRect(0, 0, strip.width, 1);
    paint.fillStyle = person.colour;
    for (let t = 0; t < seen.length; t++) if (seen[t]) paint.fillRect((t / seen.length) * strip.width, 0, Math.max(strip.width / seen.length, 1), 1);
    $("lanes").append(strip);
  }

  // ---- cameras: the one that filmed, and the one that looks at it all
  const filming = new THREE.PerspectiveCamera();
  filming.matrixAutoUpdate = false;
  const [W, H] = facts.image_size;
  const upright = new THREE.Matrix4().makeScale(1, -1, -1); // OpenCV's axes to GL's
  function film(frame) {
    const [fx, , cx, , fy, cy] = of(K, 9, frame);
    const near = 0.05, far = 1000;
    filming.projectionMatrix.set(
      (2 * fx) / W, 0, 1 - (2 * (cx + 0.5)) / W, 0,
      0, (2 * fy) / H, (2 * (cy + 0.5)) / H - 1, 0,
      0, 0, -(far + near) / (far - near), (-2 * far * near) / (far - near),
      0, 0, -1, 0,
    );
    filming.projectionMatrixInverse.copy(filming.projectionMatrix).invert();
    filming.matrix.set(...of(pose, 16, frame)).multiply(upright);
    filming.updateMatrixWorld(true);
    // the frustum, as deep as a third of the way to the people
    const depth = Math.max(0.4, Math.min(2.5, filming.getWorldPosition(new THREE.Vector3()).distanceTo(middle) / 3));
    const corner = ([u, v]) => new THREE.Vector3(((u - cx) / fx) * depth, ((cy - v) / fy) * depth, -depth).applyMatrix4(filming.matrix);
    const corners = [[-0.5, -0.5], [W - 0.5, -0.5], [W - 0.5, H - 0.5], [-0.5, H - 0.5]].map(corner);
    const eye = new THREE.Vector3().applyMatrix4(filming.matrix);
    const points = corners.flatMap((c, i) => [eye, c, c, corners[(i + 1) % 4]]);
    frustum.geometry.setFromPoints(points);
  }
  const frustum = inSpace(new THREE.LineSegments(new THREE.BufferGeometry(), new THREE.LineBasicMaterial({ color: 0x2f6fdb })));
  frustum.frustumCulled = false;
  const looking = new THREE.PerspectiveCamera(40, 1, 0.05, 500);
  looking.layers.enable(ONLY_SPACE);
  film(0);
  const controls = new THREE.OrbitControls(looking, $("space"));
  controls.target.copy(middle);
  const back = filming.getWorldPosition(new THREE.Vector3()).sub(middle).setY(0);
  if (back.length() < 0.1) back.set(0, 0, 1);
  const away = 0.62 * extent / Math.tan((looking.fov * Math.PI) / 360) + 0.8;
  looking.position.copy(back).normalize().applyAxisAngle(new THREE.Vector3(0, 1, 0), 0.6).setY(0.32).normalize().multiplyScalar(away).add(middle);
  controls.maxPolarAngle = Math.PI / 2 - 0.02; // not below the ground
  controls.addEventListener("change", () => { dirty = true; });
  controls.update();

  // ---- one clock. With a video, its frames lead; without, the page's own time does.
  function frameAt(time) {
    let a = 0, b = last;
    while (a < b) { const m = (a + b + 1) >> 1; if (times[m] <= time) a = m; else b = m - 1; }
    return a;
  }
  function show(time, index) {
    now = time;
    frame = index;
    dirty = true;
  }
  document.body.classList.toggle("still", last === 0);
  const slack = 0.25 * step; // a seek lands inside the frame, not on its edge
  function seek(index) {
    index = Math.max(0, Math.min(last, index));
    if (video) video.currentTime = times[index] + slack;
    show(times[index], index);
  }
  function play(on) {
    playing = on && last > 0;
    if (playing && frame === last) seek(0);
    if (video && playing) video.play().catch((error) => { playing = false; say(`The video does not play: ${error.message}`); });
    if (video && !playing && !video.paused) {
      video.pause();
      seek(frameAt(video.currentTime)); // what is seen and what is posed are one frame again
    }
    $("icon").setAttribute("d", playing ? "M6 4h4v16H6zM14 4h4v16h-4z" : "M7 4l13 8-13 8z");
    $("play").setAttribute("aria-label", playing ? "Pause" : "Play");
  }
  if (video) {
    const shown = (_, { mediaTime }) => { const i = frameAt(mediaTime + slack); show(times[i], i); video.requestVideoFrameCallback(shown); };
    video.requestVideoFrameCallback?.(shown);
    video.addEventListener("ended", () => play(false));
    video.addEventListener("seeked", () => { dirty = true; });
  }
  $("play").addEventListener("click", () => play(!playing));
  $("speed").addEventListener("change", (event) => {
    speed = Number(event.target.value);
    if (video) video.playbackRate = speed;
  });
  $("scrub").max = last;
  $("scrub").addEventListener("input", (event) => { play(false); seek(Number(event.target.value)); });
  for (const id of ["overlay", "frustum", "follow"]) $(id).addEventListener("change", () => { dirty = true; });
  const toggle = (box) => { box.click(); };
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "SELECT") return;
    const many = event.shiftKey ? Math.max(1, Math.round(1 / step)) : 1;
    const keys = {
      " ": () => play(!playing), ArrowLeft: () => { play(false); seek(frame - many); }, ArrowRight: () => { play(false); seek(frame + many); },
      Home: () => seek(0), End: () => { play(false); seek(last); },
      o: () => toggle($("overlay")), c: () => toggle($("frustum")), f: () => toggle($("follow")),
    };
    const digit = people[Number(event.key) - 1];
    const act = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key] ?? (digit && (() => toggle(digit.box)));
    if (!act || (event.key === " " && event.target.tagName === "BUTTON")) return;
    event.preventDefault();
    act();
  });

  // ---- drawing
  let renderer = null;
  try {
    renderer = new THREE.WebGLRenderer({ canvas: $("canvas"), antialias: true, alpha: true, preserveDrawingBuffer: true });
    renderer.setPixelRatio(Math.min(devicePixelRatio, 2));
    renderer.shadowMap.enabled = true;
    renderer.shadowMap.type = THREE.PCFShadowMap;
    renderer.shadowMap.autoUpdate = false;
    renderer.autoClear = false;
    renderer.setScissorTest(true);
  } catch {
    say("This browser shows no WebGL, so there is no 3D view.");
  }
  new ResizeObserver(() => { renderer?.setSize($("stage").clientWidth, $("stage").clientHeight); dirty = true; }).observe($("stage"));

  const rectangle = (element) => { // in the canvas' pixels, from below
    const all = $("stage").getBoundingClientRect(), one = element.getBoundingClientRect();
    return [one.left - all.left, all.bottom - one.bottom, one.width, one.height];
  };
  function contained([x, y, w, h]) { // where object-fit: contain puts the picture
    const scale = Math.min(w / W, h / H);
    return [x + (w - W * scale) / 2, y + (h - H * scale) / 2, W * scale, H * scale];
  }
  function view(camera, [x, y, w, h]) {
    if (w < 1 || h < 1) return;
    renderer.setViewport(x, y, w, h);
    renderer.setScissor(x, y, w, h);
    renderer.render(scene, camera);
  }
  const materials = (values) => people.forEach(({ mesh }) => Object.assign(mesh.material, values));
  const centre = new THREE.Vector3();
  function draw() {
    for (const action of actions) action.time = Math.min(now, action.getClip().duration);
    mixer.update(0);
    gltf.scene.updateMatrixWorld(true);
    film(frame);
    frustum.visible = $("frustum").checked;
    const there = people.filter(({ mesh, root }) => mesh.visible && Math.abs(root.matrixWorld.determinant()) > 0.1);
    if ($("follow").checked && there.length) {
      const at = there.reduce((sum, { root }) => sum.add(new THREE.Vector3().setFromMatrixPosition(root.matrixWorld)), new THREE.Vector3()).divideScalar(there.length);
      const moved = at.clone().sub(centre);
      if (centre.lengthSq() > 0) { controls.target.add(moved); looking.position.add(moved); }
      centre.copy(at);
    } else centre.set(0, 0, 0);
    if (renderer) {
      renderer.setScissorTest(false);
      renderer.setClearColor(0, 0);
      renderer.clear();
      renderer.setScissorTest(true);
      const space = rectangle($("space"));
      looking.aspect = space[2] / Math.max(space[3], 1);
      looking.updateProjectionMatrix();
      renderer.shadowMap.needsUpdate = true;
      view(looking, space);
      if (media && $("overlay").checked) {
        const picture = contained(rectangle($("picture")));
        materials({ colorWrite: false }); // depth first, so that a see-through body does not show its own far limbs
        view(filming, picture);
        materials({ colorWrite: true, opacity: 0.82 });
        view(filming, picture);
        materials({ opacity: 1 });
      }
    }
    $("scrub").value = frame;
    $("clock").textContent = `${(times[frame]).toFixed(2)} s · frame ${facts.frame_index[0] + frame} / ${facts.frame_index[0] + last}`;
  }
  function loop(stamp) {
    const passed = (stamp - before) / 1000;
    before = stamp;
    if (playing && !video) {
      const time = now + passed * speed;
      if (time >= times[last]) { show(times[last], last); play(false); } else show(time, frameAt(time));
    }
    if (dirty) { dirty = false; draw(); }
    requestAnimationFrame(loop);
  }
  $("about").textContent = facts.about;
  requestAnimationFrame(loop);
  // for scripts: where things are now
  globalThis.monocap = {
    seek, play,
    state: () => ({
      frame, time: now, playing, video: video && video.currentTime, drawn: !dirty,
      people: people.map(({ name, mesh, root }) => ({ name, visible: mesh.visible && Math.abs(root.matrixWorld.determinant()) > 0.1, pelvis: new THREE.Vector3().setFromMatrixPosition(root.matrixWorld).toArray() })),
      project: (point) => { const p = new THREE.Vector3(...point).project(filming); return [((p.x + 1) / 2) * W - 0.5, ((1 - p.y) / 2) * H - 0.5]; },
    }),
  };
})().catch((error) => {
  const message = document.getElementById("message");
  message.textContent = `The page could not start: ${error.message}`;
  message.hidden = false;
});
