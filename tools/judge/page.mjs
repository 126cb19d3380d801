// Opens a page that monocap wrote in headless Chromium, without network, and asks it where things are.
//   node page.mjs FILE.html OUT.png|- [STEP ...]
// STEPs run in order: seek:N (frame), play:SECONDS, key:NAME (as Playwright names keys), shot:FILE.png, size:WxH.
// Prints {requests, errors, states: [state after each step]}; requests are the addresses the page asked for, other than
// its own and those it made itself (blob:, data:). The picture is taken at the end. CHROMIUM names the browser.
import { pathToFileURL } from "node:url";
import { existsSync } from "node:fs";
import { delimiter, join, resolve } from "node:path";
import { chromium } from "playwright-core";

const program = (name) => (name.includes("/") ? name : process.env.PATH.split(delimiter).map((folder) => join(folder, name)).find(existsSync));
const [file, out, ...steps] = process.argv.slice(2);
const address = pathToFileURL(resolve(file)).href;
const browser = await chromium.launch({
  executablePath: program(process.env.CHROMIUM ?? "chromium"),
  args: ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--autoplay-policy=no-user-gesture-required"],
});
const page = await browser.newPage({ viewport: { width: 1280, height: 720 } });
const requests = [], errors = [];
page.on("request", (request) => {
  if (!/^(blob|data):/.test(request.url()) && request.url() !== address) requests.push(request.url());
});
page.on("pageerror", (error) => errors.push(String(error)));
page.on("console", (message) => message.type() === "error" && errors.push(message.text()));

const state = () => page.evaluate(() => {
  const { project, ...rest } = globalThis.monocap.state();
  rest.people = rest.people.map((person) => ({ ...person, pixel: project(person.pelvis) }));
  const video = document.querySelector("video");
  if (video) { // how bright the middle of the picture is, 0 to 255
    const canvas = Object.assign(document.createElement("canvas"), { width: 9, height: 9 });
    const pen = canvas.getContext("2d");
    pen.drawImage(video, 0, 0, 9, 9);
    try {
      rest.brightness = pen.getImageData(4, 4, 1, 1).data[1];
    } catch {} // a file beside the page may be seen, not read
  }
  rest.message = document.getElementById("message").hidden ? null : document.getElementById("message").textContent;
  return rest;
});
const settled = () => page.waitForFunction(() => {
  const video = document.querySelector("video");
  return globalThis.monocap.state().drawn && (!video || (!video.seeking && video.readyState >= 2));
});

await page.goto(address);
await page.waitForFunction(() => globalThis.monocap, null, { timeout: 120000 }).catch(async () => { console.error(errors, await page.locator('#message').textContent()); process.exit(1); });
await settled();
const states = [await state()];
for (const step of steps) {
  const [name, value] = step.split(/:(.*)/s);
  if (name === "seek") await page.evaluate((frame) => globalThis.monocap.seek(frame), Number(value));
  if (name === "key") await page.keyboard.press(value);
  if (name === "size") await page.setViewportSize({ width: +value.split("x")[0], height: +value.split("x")[1] });
  if (name === "play") {
    await page.keyboard.press("Space");
    await page.waitForTimeout(Number(value) * 1000);
    await page.keyboard.press("Space");
  }
  await page.waitForTimeout(60);
  await settled();
  if (name === "shot") await page.screenshot({ path: value });
  states.push(await state());
}
if (out !== "-") await page.screenshot({ path: out });
console.log(JSON.stringify({ requests, errors, states }));
await browser.close();
