// What a page must never do: write an error to the console, break its own content security policy, fail to load a part.

const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];

// Collects what goes wrong on a page; `take` gives it and begins anew.
export async function watch(page) {
  let problems = [];
  const note = (text) => problems.push(text);
  await page.exposeFunction("holdfastViolation", (text) => note(`policy violation: ${text}`));
  await page.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) => {
      window.holdfastViolation(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`);
    });
  });
  page.on("console", (message) => {
    // The browser itself reports the status of an error page.
    const status = message.text().startsWith("Failed to load resource") && message.location().url === page.url();
    if (["error", "warning"].includes(message.type()) && !status) note(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => note(`script: ${error.message}`));
  page.on("requestfailed", (request) => {
    const reason = request.failure()?.errorText;
    if (reason !== "net::ERR_ABORTED") note(`not loaded: ${request.url()} ${reason}`);
  });
  page.on("response", (answer) => {
    if (answer.status() >= 400 && !answer.request().isNavigationRequest()) note(`${answer.status()}: ${answer.url()}`);
  });
  return {
    take() {
      const taken = problems;
      problems = [];
      return taken;
    },
  };
}

// What axe finds, one line a rule.
export async function axe(page, source) {
  await page.evaluate(source);
  const found = await page.evaluate(async (tags) => {
    const result = await window.axe.run(document, { runOnly: { type: "tag", values: tags }, resultTypes: ["violations"] });
    return result.violations.map((rule) => `axe ${rule.id}: ${rule.help}: ${rule.nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(" | ")}`);
  }, TAGS);
  return found;
}

// The elements that stick out of the window, if it can be scrolled sideways.
export async function overflow(page) {
  return page.evaluate(() => {
    if (document.documentElement.scrollWidth <= window.innerWidth) return [];
    const out = [...document.querySelectorAll("body *")].filter((one) => one.getBoundingClientRect().right > window.innerWidth + 1);
    return [`wider than ${window.innerWidth} px: ${out.slice(0, 3).map((one) => one.outerHTML.slice(0, 120)).join(" | ")}`];
  });
}

// The link that the keyboard's focus is on must be visible to people.
export async function focusShows(page) {
  return page.evaluate(() => {
    const visible = (one) => {
      const style = getComputedStyle(one);
      return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
    };
    const at = document.activeElement;
    return !at || at === document.body || visible(at) || (at.parentElement !== null && visible(at.parentElement));
  });
}
