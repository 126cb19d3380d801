// Photographs a GLB as three.js shows it, in headless Chromium (any WebGL, software will do).
//   node look.mjs FILE.glb OUT.png [TIME ...]          one view per time in seconds, side by side (default: 0)
// CHROMIUM names the browser if it is not called `chromium`. The page is served on loopback while the picture is taken.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { dirname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const [file, out, ...rest] = process.argv.slice(2);
const times = (rest.length ? rest : ["0"]).map(Number);
const [width, height] = [420, 640];

const page = `<!doctype html><meta charset="utf-8"><style>body{margin:0;display:flex;background:#fff}</style>
<script type="importmap">{"imports":{"three":"/three/build/three.module.js","three/addons/":"/three/examples/jsm/"}}</script>
<script type="module">
import * as THREE from "three";
import { GLTFLoader } from "three/addons/loaders/GLTFLoader.js";
const gltf = await new GLTFLoader().loadAsync("/model.glb");
const scene = new THREE.Scene();
scene.background = new THREE.Color(0xf4f5f7);
scene.add(gltf.scene, new THREE.HemisphereLight(0xffffff, 0x8a8076, 1.6), new THREE.GridHelper(20, 40, 0xbbbbbb, 0xdddddd));
const sun = new THREE.DirectionalLight(0xffffff, 2.2);
sun.position.set(2, 4, 3);
scene.add(sun);
const mixer = new THREE.AnimationMixer(gltf.scene);
for (const clip of gltf.animations) {
  const action = mixer.clipAction(clip);
  action.setLoop(THREE.LoopOnce);
  action.clampWhenFinished = true;
  action.play();
}
const bounds = (times) => {
  const box = new THREE.Box3(), point = new THREE.Vector3();
  for (const time of times) {
    mixer.setTime(time);
    gltf.scene.updateMatrixWorld(true);
    gltf.scene.traverse((mesh) => {
      if (!mesh.isSkinnedMesh) return;
      for (let i = 0; i < mesh.geometry.attributes.position.count; i += 7) box.expandByPoint(mesh.getVertexPosition(i, point));
    });
  }
  return box;
};
const times = ${JSON.stringify(times)};
const sphere = bounds(times).getBoundingSphere(new THREE.Sphere());
const camera = new THREE.PerspectiveCamera(35, ${width} / ${height}, 0.05, 200);
const half = Math.atan(Math.tan((camera.fov * Math.PI) / 360) * Math.min(1, camera.aspect));
const away = (sphere.radius || 1) / Math.sin(half);
camera.position.copy(sphere.center).add(new THREE.Vector3(0.25, 0.15, 1).normalize().multiplyScalar(away));
camera.lookAt(sphere.center);
gltf.scene.traverse((mesh) => { mesh.frustumCulled = false; });
const renderer = new THREE.WebGLRenderer({ antialias: true, preserveDrawingBuffer: true });
renderer.setSize(${width}, ${height});
for (const time of times) {
  mixer.setTime(time);
  renderer.render(scene, camera);
  const image = new Image();
  image.src = renderer.domElement.toDataURL();
  await image.decode();
  document.body.append(image);
}
await fetch("/done");
</script>`;

const types = { ".js": "text/javascript", ".glb": "model/gltf-binary" };
const server = createServer((request, response) => {
  const path = normalize(new URL(request.url, "http://x").pathname);
  try {
    if (path === "/") return response.setHeader("content-type", "text/html").end(page);
    if (path === "/done") return response.end();
    const name = path === "/model.glb" ? file : join(here, "node_modules", path);
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
