// Photographs a file as three.js shows it, in headless Chromium (any WebGL, software will do).
//   node look.mjs FILE.glb|.bvh|.obj OUT.png [TIME ...]              one view per time in seconds, side by side (default: 0)
//   each view is centred on what is there at its time
//   node look.mjs FILE.glb OUT.png --head [TIME ...]                 the highest 21 cm only: the head of somebody upright
//   node look.mjs FILE.vrma OUT.png --avatar FILE.vrm [TIME ...]     the avatar as three-vrm moves it
// CHROMIUM names the browser if it is not called `chromium`. The page is served on loopback while the picture is taken.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { dirname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const [file, out, ...rest] = process.argv.slice(2);
const avatar = rest[0] === "--avatar" ? rest.splice(0, 2)[1] : null;
const head = rest[0] === "--head" ? rest.splice(0, 1).length > 0 : false;
const kind = file.slice(file.lastIndexOf(".") + 1).toLowerCase();
const times = (rest.length ? rest : ["0"]).map(Number);
const [width, height] = [420, 520];

const page = `<!doctype html><meta charset="utf-8"><style>body{margin:0;display:flex;background:#fff}</style>
<script type="importmap">{"imports":{"three":"/three/build/three.module.js","three/addons/":"/three/examples/jsm/","@pixiv/three-vrm":"/@pixiv/three-vrm/lib/three-vrm.module.js","@pixiv/three-vrm-animation":"/@pixiv/three-vrm-animation/lib/three-vrm-animation.module.js"}}</script>
<script type="module">
import * as THREE from "three";
import { GLTFLoader } from "three/addons/loaders/GLTFLoader.js";
import { BVHLoader } from "three/addons/loaders/BVHLoader.js";
import { OBJLoader } from "three/addons/loaders/OBJLoader.js";
import { VRMLoaderPlugin, VRMUtils } from "@pixiv/three-vrm";
import { VRMAnimationLoaderPlugin, createVRMAnimationClip } from "@pixiv/three-vrm-animation";
const loader = new GLTFLoader();
loader.register((parser) => new VRMLoaderPlugin(parser));
loader.register((parser) => new VRMAnimationLoaderPlugin(parser));
// each gives what to draw, its animations, what to do after each step, and points that tell where it is
const load = {
  glb: async () => {
    const { scene, animations } = await loader.loadAsync("/model");
    return { root: scene, clips: animations, points: skin(scene) };
  },
  vrma: async () => {
    const { vrm } = (await loader.loadAsync("/avatar")).userData;
    VRMUtils.rotateVRM0(vrm);
    const [motion] = (await loader.loadAsync("/model")).userData.vrmAnimations;
    return { root: vrm.scene, clips: [createVRMAnimationClip(motion, vrm)], after: () => vrm.update(0), points: skin(vrm.scene) };
  },
  bvh: async () => {
    const { skeleton, clip } = await new BVHLoader().loadAsync("/model");
    const root = new THREE.Group();
    root.add(skeleton.bones[0]);
    root.scale.setScalar(0.01); // centimetres
    const helper = new THREE.SkeletonHelper(skeleton.bones[0]);
    helper.setColors?.(new THREE.Color(0x1f4fa8), new THREE.Color(0x2f9e8f));
    scene.add(helper);
    const points = () => skeleton.bones.map((bone) => bone.getWorldPosition(new THREE.Vector3()));
    return { root, clips: [clip], mixed: skeleton.bones[0], points };
  },
  obj: async () => {
    const root = await new OBJLoader().loadAsync("/model");
    root.traverse((mesh) => { if (mesh.isMesh) mesh.material = new THREE.MeshStandardMaterial({ color: 0xc9b8a8, roughness: 0.8 }); });
    return { root, clips: [], points: () => { const box = new THREE.Box3().setFromObject(root); return [box.min, box.max]; } };
  },
};
function skin(root) {
  return () => {
    const found = [];
    root.traverse((mesh) => {
      if (!mesh.isSkinnedMesh || Math.abs(mesh.skeleton.bones[0].matrixWorld.determinant()) < 0.1) return; // scaled to nothing
      const count = mesh.geometry.attributes.position.count;
      for (let i = 0; i < count; i += 7) found.push(mesh.getVertexPosition(i, new THREE.Vector3()).applyMatrix4(mesh.matrixWorld));
    });
    return found;
  };
}
const scene = new THREE.Scene();
scene.background = new THREE.Color(0xf4f5f7);
const { root, clips, after = () => {}, mixed, points } = await load[${JSON.stringify(kind)}]();
scene.add(root, new THREE.HemisphereLight(0xffffff, 0x8a8076, 1.6), new THREE.GridHelper(20, 40, 0xbbbbbb, 0xdddddd));
const sun = new THREE.DirectionalLight(0xffffff, 2.2);
sun.position.set(2, 4, 3);
scene.add(sun);
const mixer = new THREE.AnimationMixer(mixed ?? root);
const actions = clips.map((clip) => {
  const action = mixer.clipAction(clip).setLoop(THREE.LoopOnce);
  return action.play();
});
function pose(time) {
  for (const action of actions) action.time = Math.min(time, action.getClip().duration);
  mixer.update(0);
  after();
  scene.updateMatrixWorld(true);
}
const bounds = (times) => {
  const box = new THREE.Box3();
  for (const time of times) {
    pose(time);
    const seen = points();
    const top = seen.reduce((y, point) => Math.max(y, point.y), -Infinity);
    for (const point of seen) if (!${head} || point.y > top - 0.21) box.expandByPoint(point);
  }
  return box;
};
const times = ${JSON.stringify(times)};
const camera = new THREE.PerspectiveCamera(35, ${width} / ${height}, 0.05, 200);
const half = Math.atan(Math.tan((camera.fov * Math.PI) / 360) * Math.min(1, camera.aspect));
const aim = (sphere) => {
  const away = ((sphere.radius || 1) * (${head} ? 0.8 : 1)) / Math.sin(half);
  camera.position.copy(sphere.center).add(new THREE.Vector3(0.25, 0.15, 1).normalize().multiplyScalar(away));
  camera.lookAt(sphere.center);
};
const spheres = times.map((time) => bounds([time]).getBoundingSphere(new THREE.Sphere()));
scene.traverse((mesh) => { mesh.frustumCulled = false; });
const renderer = new THREE.WebGLRenderer({ antialias: true, preserveDrawingBuffer: true });
renderer.setSize(${width}, ${height});
for (const [i, time] of times.entries()) {
  pose(time);
  aim(spheres[i]);
  renderer.render(scene, camera);
  const image = new Image();
  image.src = renderer.domElement.toDataURL();
  await image.decode();
  document.body.append(image);
}
await fetch("/done");
</script>`;

const types = { ".js": "text/javascript" };
const server = createServer((request, response) => {
  const path = normalize(new URL(request.url, "http://x").pathname);
  try {
    if (path === "/") return response.setHeader("content-type", "text/html").end(page);
    if (path === "/done") return response.end();
    const name = { "/model": file, "/avatar": avatar }[path] ?? join(here, "node_modules", path);
    response.setHeader("content-type", types[path.slice(path.lastIndexOf("."))] ?? "application/octet-stream");
    response.end(readFileSync(name));
  } catch {
    response.writeHead(404).end();
  }
});
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const profile = mkdtempSync(join(tmpdir(), "look-"));
const browser = spawn(process.env.CHROMIUM ?? "chromium", [
  "--headless=new", "--no-sandbox", "--hide-scrollbars", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
  `--user-data-dir=${profile}`, `--window-size=${width * times.length},${height}`, "--virtual-time-budget=20000",
  `--screenshot=${out}`, `http://127.0.0.1:${server.address().port}/`,
], { stdio: ["ignore", "ignore", "pipe"] });
let log = "";
browser.stderr.on("data", (text) => (log += text));
const status = await new Promise((done) => browser.on("exit", done));
server.close();
rmSync(profile, { recursive: true, force: true });
if (status !== 0) console.error(log);
process.exit(status ?? 1);
