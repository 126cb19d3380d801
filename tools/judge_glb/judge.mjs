// Judges a GLB with programs that nobody here wrote: Khronos' validator, and three.js' loader and animation.
//   node judge.mjs FILE.glb [TIME ...]
// prints one JSON object: {validator: {errors, warnings, infos, messages}, times: [{time, people: [{name, joints,
// low, high}]}]} with the joints' and skinned vertices' world positions as three.js plays the animations at each time in
// seconds, or {validator, three: MESSAGE} if three.js cannot load it. Exit status 1 if the validator finds an error.
import { readFileSync } from "node:fs";
import { validateBytes } from "gltf-validator";
import * as THREE from "three";
import { GLTFLoader } from "three/addons/loaders/GLTFLoader.js";

// node has no picture decoder; positions do not need one
globalThis.self = globalThis;
globalThis.createImageBitmap = async () => ({ width: 1, height: 1, close() {} });

const [file, ...times] = process.argv.slice(2);
const bytes = new Uint8Array(readFileSync(file));

const report = await validateBytes(bytes, { maxIssues: 100 });
const validator = {
  errors: report.issues.numErrors,
  warnings: report.issues.numWarnings,
  infos: report.issues.numInfos,
  messages: report.issues.messages.map((m) => `${m.code} ${m.pointer ?? ""}: ${m.message}`),
};

// process.exit would cut off what a pipe has not taken yet
process.exitCode = validator.errors > 0 ? 1 : 0;
try {
  console.log(JSON.stringify({ validator, ...(await play()) }));
} catch (error) {
  console.log(JSON.stringify({ validator, three: String(error) }));
  process.exitCode = 1;
}

async function play() {
  const gltf = await new GLTFLoader().parseAsync(bytes.buffer, "");
  const mixer = new THREE.AnimationMixer(gltf.scene);
  for (const clip of gltf.animations) {
    const action = mixer.clipAction(clip);
    action.setLoop(THREE.LoopOnce);
    action.clampWhenFinished = true;
    action.play();
  }
  const rest = people(gltf.scene);
  return {
    rest,
    times: times.map(Number).map((time) => {
      mixer.setTime(time);
      return { time, people: people(gltf.scene) };
    }),
  };
}

function people(scene) {
  const found = [];
  scene.updateMatrixWorld(true);
  scene.traverse((mesh) => {
    if (!mesh.isSkinnedMesh) return;
    const joints = mesh.skeleton.bones.map((bone) => bone.getWorldPosition(new THREE.Vector3()).toArray());
    const box = new THREE.Box3();
    const point = new THREE.Vector3();
    for (let i = 0; i < mesh.geometry.attributes.position.count; i++) {
      box.expandByPoint(mesh.getVertexPosition(i, point).applyMatrix4(mesh.matrixWorld));
    }
    found.push({ name: mesh.name, joints, low: box.min.toArray(), high: box.max.toArray() });
  });
  return found;
}
