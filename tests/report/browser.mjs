// Opens a report at two widths, light and dark, and prints faults as JSON: axe-core, console, requests, overflow.
// Arguments: the folder of node modules, the browser, the file.
import fs from "node:fs";
import { createRequire } from "node:module";

const [modules, browserPath, file] = process.argv.slice(2);
const { chromium } = createRequire(`${modules}/`)("playwright-core");
const axe = fs.readFileSync(`${modules}/axe-core/axe.min.js`, "utf8");
const browser = await chromium.launch({ executablePath: browserPath, args: ["--no-sandbox"] });
const faults = [];
for (const width of [360, 1440]) {
  for (const colorScheme of ["light", "dark"]) {
    const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme });
    const page = await context.newPage();
    const where = `${width} px, ${colorScheme}`;
    page.on("console", (message) => faults.push([where, "console", message.text()]));
    page.on("pageerror", (error) => faults.push([where, "error", String(error)]));
    page.on("request", (request) => {
      if (!/^(file|data):/.test(request.url())) faults.push([where, "request", request.url()]);
    });
    await page.goto(`file://${file}`);
    const over = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    if (over > 0) faults.push([where, "overflow", over]);
    await page.evaluate(axe);
    const found = await page.evaluate(async () => (await window.axe.run()).violations);
    for (const fault of found) {
      if (["serious", "critical"].includes(fault.impact)) faults.push([where, fault.id, fault.nodes.length]);
    }
    await context.close();
  }
}
await browser.close();
console.log(JSON.stringify(faults));
