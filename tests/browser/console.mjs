// Operators: what they do by keyboard, and jobs that are followed as they run.

import { pressAndGo, signIn, tabToText } from "./keyboard.mjs";
import { watch } from "./watch.mjs";

const JOB_SECONDS = 60;

const points = (page) => page.evaluate(() => [...document.querySelectorAll("main code")].map((one) => one.textContent));

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

export async function operatorByKeyboard({ browser, url, test, demo }, javaScriptEnabled) {
  const how = javaScriptEnabled ? "by keyboard" : "by keyboard, script off";
  const context = await browser.newContext({ viewport: { width: 390, height: 900 }, javaScriptEnabled });
  const page = await context.newPage();
  const watched = await watch(page);
  const step = (name, act) =>
    test(`console: ${name}, ${how}`, async () => {
      await act();
      return watched.take();
    });
  await step("sign in and open a tenant", async () => {
    await signIn(page, `${url}/console/signin`, demo.operator, demo.operator_password);
    await tabToText(page, "default");
    await pressAndGo(page, "Enter");
    if (page.url() !== `${url}/console/tenants/default`) throw new Error(`the link led to ${page.url()}`);
  });
  await step("back up now", async () => {
    const before = await points(page);
    await runJob(page, "Back up now", javaScriptEnabled);
    const after = await points(page);
    if (!after.some((name) => !before.includes(name))) throw new Error("the page shows no new point");
  });
  if (javaScriptEnabled) await step("drill now", () => runJob(page, "Drill now", true));
  await step("sign out", async () => {
    await tabToText(page, "Sign out");
    await pressAndGo(page, "Enter");
    if (page.url() !== `${url}/console/signin`) throw new Error(`signing out led to ${page.url()}`);
  });
  await context.close();
}
