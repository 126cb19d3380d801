// Judges files with programs that nobody here wrote: Khronos' validator, three.js' loader and animation, pixiv's three-vrm.
//   node judge.mjs glb FILE.glb [TIME ...]            {validator, rest, times: [{time, people: [{name, visible, joints, low, high}]}]}
//   node judge.mjs vrma FILE.vrma AVATAR.vrm|- [TIME ...]   {validator, times: [{time, bones: {hips: [x, y, z], …}, avatar: {…}}]}
//   node judge.mjs validate FILE ...                  {files: [{file, errors, warnings, messages}]}
// Each prints one JSON object. Positions are world positions in metres as three.js plays the animation at each time in
// seconds: of joints and of the skinned vertices' bounds; of the VRMA's own humanoid, and of an avatar that three-vrm
// moves by it. Where three.js cannot load a file there is {validator, three: MESSAGE}. Exit status 1 for any error.
import { readFileSync } from "node:fs";
import { validateBytes } from "gltf-validator";
import * as THREE from "three";
import { GLTFLoader } from "three/addons/loaders/GLTFLoader.js";
import { VRMLoaderPlugin, VRMUtils } from "@pixiv/three-vrm";
import { VRMAnimationLoaderPlugin, createVRMAnimationClip } from "@pixiv/three-vrm-animation";

// node has no picture decoder; positions do not need one
globalThis.self = globalThis;
globalThis.createImageBitmap = async () => ({ width: 1, height: 1, close() {} });

const [mode, file, ...rest] = process.argv.slice(2);

async function validated(path) {
  const { issues } = await validateBytes(new Uint8Array(readFileSync(path)), { maxIssues: 100 });
  const messages = issues.messages.map((m) => `${m.code} ${m.pointer ?? ""}: ${m.message}`);
  return { errors: issues.numErrors, warnings: issues.numWarnings, infos: issues.numInfos, messages };
}

async function loaded(path) {
  const loader = new GLTFLoader();
  loader.register((parser) => new VRMAnimationLoaderPlugin(parser));
  loader.register((parser) => new VRMLoaderPlugin(parser));
  return loader.parseAsync(new Uint8Array(readFileSync(path)).buffer, "");
}

function player(root, clips) {
  const mixer = new THREE.AnimationMixer(root);
  for (const clip of clips) {
    const action = mixer.clipAction(clip);
    action.setLoop(THREE.LoopOnce);
    action.clampWhenFinished = true;
    action.play();
  }
  return mixer;
}

const place = (node) => node.getWorldPosition(new THREE.Vector3()).toArray();

async function glb() {
  const gltf = await loaded(file);
  const mixer = player(gltf.scene, gltf.animations);
  return {
    rest: people(gltf.scene),
    times: rest.map(Number).map((time) => {
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
    const box = new THREE.Box3();
    const point = new THREE.Vector3();
    for (let i = 0; i < mesh.geometry.attributes.position.count; i++) {
      box.expandByPoint(mesh.getVertexPosition(i, point).applyMatrix4(mesh.matrixWorld));
    }
    const visible = Math.abs(mesh.skeleton.bones[0].matrixWorld.determinant()) > 0.1; // scaled to nothing: not shown
    const joints = mesh.skeleton.bones.map(place);
    found.push({ name: mesh.name, visible, joints, low: box.min.toArray(), high: box.max.toArray() });
  });
  return found;
}

async function vrma() {
  const [avatarFile, ...times] = rest;
  const gltf = await loaded(file);
  const own = player(gltf.scene, gltf.animations);
  const names = gltf.parser.json.extensions.VRMC_vrm_animation.humanoid.humanBones;
  const nodes = {};
  for (const [bone, { node }] of Object.entries(names)) nodes[bone] = await gltf.parser.getDependency("node", node);
  const vrm = avatarFile === "-" ? null : (await loaded(avatarFile)).userData.vrm;
  if (vrm) VRMUtils.rotateVRM0(vrm); // avatars of VRM 0 look the other way
  const avatar = vrm && player(vrm.scene, [createVRMAnimationClip(gltf.userData.vrmAnimations[0], vrm)]);
  return {
    times: times.map(Number).map((time) => {
      own.setTime(time);
      gltf.scene.updateMatrixWorld(true);
      const row = { time, bones: Object.fromEntries(Object.entries(nodes).map(([bone, node]) => [bone, place(node)])) };
      if (vrm) {
        avatar.setTime(time);
        vrm.humanoid.update();
        vrm.scene.updateMatrixWorld(true);
        const bones = Object.keys(nodes).filter((bone) => vrm.humanoid.getRawBoneNode(bone));
        row.avatar = Object.fromEntries(bones.map((bone) => [bone, place(vrm.humanoid.getRawBoneNode(bone))]));
      }
      return row;
    }),
  };
}

async function main() {
  if (mode === "validate") {
    const files = [];
    for (const path of [file, ...rest]) files.push({ file: path, ...(await validated(path)) });
    if (files.some(({ errors }) => errors > 0)) process.exitCode = 1; // process.exit would cut off what a pipe has not taken yet
    return { files };
  }
  const validator = await validated(file);
  if (validator.errors > 0) process.exitCode = 1;
  try {
    return { validator, ...(await { glb, vrma }[mode]()) };
  } catch (error) {
    process.exitCode = 1;
    return { validator, three: String(error) };
  }
}

console.log(JSON.stringify(await main()));
