// Operators: what they do by keyboard, and jobs that are followed as they run.

import { pressAndGo, signIn, tabToId, tabToText } from "./keyboard.mjs";
import { axe, overflow, watch } from "./watch.mjs";

const JOB_SECONDS = 60;

const points = (page) => page.evaluate(() => [...document.querySelectorAll("main code")].map((one) => one.textContent));
const heading = (page) => page.innerText("h1");

// Starts a job by keyboard and waits until the page, by itself, says how it ended.
async function runJob(page, button, javaScriptEnabled) {
  await tabToText(page, button);
  await pressAndGo(page, "Enter");
  const state = () => page.evaluate(() => document.querySelector("[data-part=state]")?.textContent ?? "").catch(() => "");
  const seen = new Set();
  const until = Date.now() + JOB_SECONDS * 1000;
  for (let now = await state(); ; now = await state()) {
    seen.add(now);
    // With script the page is loaded anew at the end, and then follows nothing more.
    if (now === "done" && !(await page.$("[data-events]").catch(() => true))) break;
    if (now === "failed") throw new Error(`the job failed: ${await page.innerText("[data-part=text]")}`);
    if (Date.now() > until) throw new Error(`${button}: after ${JOB_SECONDS} s the page says ${[...seen]}`);
    await page.waitForTimeout(50);
  }
  if (javaScriptEnabled && !seen.has("queued") && !seen.has("running")) throw new Error(`${button}: no progress was shown, only ${[...seen]}`);
}

// Starts work whose end shows on the page itself, and waits for that.
async function settle(page, button) {
  await tabToText(page, button);
  await pressAndGo(page, "Enter");
  const until = Date.now() + JOB_SECONDS * 1000;
  while (await page.$("[data-events]").catch(() => true)) {
    if (Date.now() > until) throw new Error(`${button}: it is still under way after ${JOB_SECONDS} s`);
    await page.waitForTimeout(50);
  }
  if (await page.$(".badge.failed")) throw new Error(`${button}: ${await page.innerText("[data-part=text]")}`);
}

// This page, narrow and wide, light and dark: nothing sticks out, nothing for axe.
async function look(page, source) {
  const problems = [];
  const narrow = page.viewportSize();
  for (const [width, colorScheme] of [[390, "dark"], [1280, "dark"], [1280, "light"], [390, "light"]]) {
    await page.setViewportSize({ ...narrow, width });
    await page.emulateMedia({ colorScheme });
    for (const problem of [...(await overflow(page)), ...(await axe(page, source))]) problems.push(`${width} px, ${colorScheme}: ${problem}`);
  }
  await page.setViewportSize({ ...narrow, width: 320 });
  problems.push(...(await overflow(page)));
  await page.setViewportSize(narrow);
  return problems;
}

// A note that members see until it is deleted: how it is called, and how it is deleted.
async function noteToLose(url, demo) {
  const send = async (method, path, body, token) => {
    const headers = { "Content-Type": "application/json", ...(token ? { Authorization: `Bearer ${token}` } : {}) };
    const answer = await fetch(`${url}/api/v1/${path}`, { method, headers, body: body && JSON.stringify(body) });
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  };
  const { accessToken } = await send("POST", "auth/signin", { passwordCredentials: { username: demo.owner, password: demo.password } });
  const { name } = await send("POST", "memos", { content: "lost, and found again", visibility: "PRIVATE" }, accessToken);
  return { name, remove: () => send("DELETE", name, undefined, accessToken) };
}

// One note by its old link: looked at first, then brought.
async function bringOneBack(page, link, looked) {
  await tabToText(page, "Bring one thing back");
  await pressAndGo(page, "Enter");
  const problems = await looked();
  await tabToId(page, "name");
  await page.keyboard.type(link);
  await runJob(page, "Look what would come back", false);
  if (!(await page.innerText("main")).includes("1 note would come back; nothing was written")) throw new Error(`the run says ${await page.innerText("main")}`);
  problems.push(...(await looked()));
  await tabToText(page, "Bring it back");
  await pressAndGo(page, "Enter");
  problems.push(...(await looked()));
  await runJob(page, "Bring it back", false);
  if (!(await page.innerText("main")).includes("1 note came back")) throw new Error(`the run says ${await page.innerText("main")}`);
  problems.push(...(await looked()));
  await tabToText(page, "Look for something else");
  await pressAndGo(page, "Enter");
  await tabToText(page, "Point ");
  await pressAndGo(page, "Enter");
  return problems;
}

// From a point to a copy beside the live tenant, compared; with script also into its place and out again.
async function bringBack({ page, step, source, javaScriptEnabled, link }) {
  const copy = javaScriptEnabled ? "by-keys" : "by-keys-without-script";
  const looked = async () => (javaScriptEnabled ? look(page, source) : []);
  await step("see the points and what depends on what", async () => {
    await tabToText(page, "All points");
    await pressAndGo(page, "Enter");
    await settle(page, "Look what depends on what");
    if (!(await page.innerText("main")).includes("stands alone")) throw new Error("no point says that it stands alone");
    return looked();
  });
  await step("look at a point and keep it", async () => {
    await tabToText(page, "Keep");
    await pressAndGo(page, "Enter");
    await tabToId(page, "reason");
    await page.keyboard.type("before the move");
    await pressAndGo(page, "Enter");
    if (!(await page.innerText("main")).includes("before the move")) throw new Error("the point does not say why it is kept");
    return looked();
  });
  await step("bring one note back", () => bringOneBack(page, link, looked));
  await step("restore it beside", async () => {
    await tabToText(page, "Restore beside");
    await pressAndGo(page, "Enter");
    const problems = await looked();
    await tabToId(page, "slug");
    await page.keyboard.press("Control+A");
    await page.keyboard.type(copy);
    await runJob(page, "Restore", false);
    if (!(await page.innerText("main")).includes("every table equal")) throw new Error("the run does not say that it is equal");
    return [...problems, ...(await looked())];
  });
  await step("compare", async () => {
    await tabToText(page, `Compare default with ${copy}`);
    await pressAndGo(page, "Enter");
    await settle(page, "Compare");
    if (!(await page.innerText(".headline")).includes("the same")) throw new Error("nothing is said of the notes");
    return looked();
  });
  if (!javaScriptEnabled) return;
  await step("swap, and take it back", async () => {
    await tabToText(page, `Put ${copy}`);
    await pressAndGo(page, "Enter");
    const problems = await looked();
    await runJob(page, `Put ${copy}`, false);
    await tabToText(page, "Take it back");
    await pressAndGo(page, "Enter");
    problems.push(...(await looked()));
    await runJob(page, "Take it back", false);
    if (!(await heading(page)).startsWith("Taking the swap")) throw new Error(`the page says ${await heading(page)}`);
    return problems;
  });
}

export async function operatorByKeyboard({ browser, url, test, demo, source }, javaScriptEnabled) {
  const how = javaScriptEnabled ? "by keyboard" : "by keyboard, script off";
  const context = await browser.newContext({ viewport: { width: 390, height: 900 }, javaScriptEnabled });
  const page = await context.newPage();
  const watched = await watch(page);
  const step = (name, act) =>
    test(`console: ${name}, ${how}`, async () => {
      const problems = (await act()) ?? [];
      return [...problems, ...watched.take()];
    });
  await step("sign in and open a tenant", async () => {
    await signIn(page, `${url}/console/signin`, demo.operator, demo.operator_password);
    await tabToText(page, "default");
    await pressAndGo(page, "Enter");
    if (page.url() !== `${url}/console/tenants/default`) throw new Error(`the link led to ${page.url()}`);
  });
  const lost = await noteToLose(url, demo);
  await step("back up now", async () => {
    const before = await points(page);
    await runJob(page, "Back up now", javaScriptEnabled);
    const after = await points(page);
    if (!after.some((name) => !before.includes(name))) throw new Error("the page shows no new point");
  });
  if (javaScriptEnabled) await step("drill now", () => runJob(page, "Drill now", true));
  await lost.remove();
  await bringBack({ page, step, source, javaScriptEnabled, link: `${url}/${lost.name}` });
  await step("sign out", async () => {
    await tabToText(page, "Sign out");
    await pressAndGo(page, "Enter");
    if (page.url() !== `${url}/console/signin`) throw new Error(`signing out led to ${page.url()}`);
  });
  await context.close();
}
