/* SPDX-License-Identifier: MIT */
/*
 * The look of the reports. Text has a contrast of at least 4.5 to its ground, in both schemes; what a colour says is also said by a mark or a
 * word. Young is strong and old is faint, in one hue, so that the map can be read without telling red from green.
 */
#include <stddef.h>

extern const char *const html_style[];

const char *const html_style[] = {
        (":root{--bg:#f6f7f9;--card:#fff;--fg:#1b2026;--muted:#57606a;--line:#d5dae0;--good:#0b6b46;--warn:#8a5300;--bad:#b3202a;"
         "--goodbg:#e3f4ec;--warnbg:#fff1d6;--badbg:#fde8e8;"
         "--k0:#0a5c4d;--k1:#14705f;--k2:#208372;--k3:#339786;--k4:#4faa9a;--k5:#71bdaf;--k6:#97d0c5;--k7:#bfe3db;"
         "--k8:#d97d0d;--k9:#9aa3ad;--k10:#c8232e;--on:#fff;--onold:#1b2026}\n"),
        ("@media (prefers-color-scheme:dark){:root{--bg:#12151a;--card:#1a1f26;--fg:#e6e9ed;--muted:#a0a9b4;--line:#323a45;"
         "--good:#63d8a2;--warn:#f5b95c;--bad:#ff8484;--goodbg:#14301f;--warnbg:#36280f;--badbg:#3c1a1d;"
         "--k0:#6aeccc;--k1:#57d4b6;--k2:#47bb9f;--k3:#39a28a;--k4:#2e8a75;--k5:#267262;--k6:#1f5b4f;--k7:#19463d;"
         "--k8:#f0a33c;--k9:#6b7582;--k10:#f2545b;--on:#fff;--onold:#12151a}}\n"),
        "*{box-sizing:border-box}\n",
        "body{margin:0;overflow-wrap:anywhere;background:var(--bg);color:var(--fg);font:16px/1.5 system-ui,sans-serif}\n",
        "header,main{max-width:1040px;margin:0 auto;padding:0 20px}\n",
        "header{padding-top:28px}\n",
        "h1{font-size:1.5rem;margin:0;overflow-wrap:anywhere}\n",
        "h2{font-size:1.15rem;margin:36px 0 12px;overflow-wrap:anywhere}\n",
        "h3{font-size:1rem;font-weight:600;margin:0 0 8px;overflow-wrap:anywhere}\n",
        ".tiles+h3,.legend+h3,.finding+h3,p+h3,dl+h3,figure+h3,.wide+h3{margin-top:24px}\n",
        "p{margin:8px 0}\n",
        ".made,.more,figcaption,.axis{color:var(--muted);font-size:.875rem}\n",
        "main{padding-bottom:48px}\n",
        ".verdict{display:flex;gap:16px;align-items:center;border-radius:12px;padding:16px 20px;margin:20px 0}\n",
        ".verdict svg{width:44px;height:44px;flex:none}\n",
        ".verdict circle{fill:currentColor}\n",
        ".verdict path{fill:none;stroke:var(--card);stroke-width:2.4;stroke-linecap:round;stroke-linejoin:round}\n",
        ".verdict span{color:var(--fg)}\n",
        ".verdict strong{font-size:1.2rem}\n",
        ".verdict.good{background:var(--goodbg);color:var(--good)}\n",
        ".verdict.warn{background:var(--warnbg);color:var(--warn)}\n",
        ".verdict.bad{background:var(--badbg);color:var(--bad)}\n",
        ".verdict.idle{background:var(--card);color:var(--muted)}\n",
        ".tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(200px,44%),1fr));gap:12px;list-style:none;margin:0;padding:0}\n",
        (".tiles li{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:12px 14px;display:flex;"
         "flex-direction:column}\n"),
        ".name{color:var(--muted);font-size:.875rem}\n",
        ".value{font-size:1.35rem;font-weight:600;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}\n",
        ".tiles .good .value{color:var(--good)}\n",
        ".tiles .warn .value{color:var(--warn)}\n",
        ".tiles .bad .value{color:var(--bad)}\n",
        ".map,.days{display:block;width:100%;height:auto}\n",
        (".k0{fill:var(--k0)}.k1{fill:var(--k1)}.k2{fill:var(--k2)}.k3{fill:var(--k3)}.k4{fill:var(--k4)}.k5{fill:var(--k5)}"
         ".k6{fill:var(--k6)}.k7{fill:var(--k7)}.k8{fill:var(--k8)}.k9{fill:var(--k9)}.k10{fill:var(--k10)}\n"),
        ".cross,.dash,.mark{fill:none;stroke:var(--on);stroke-width:1.4;stroke-linecap:round}\n",
        ".mark{stroke:var(--onold)}\n",
        ".map g:hover rect{stroke:var(--fg);stroke-width:1}\n",
        ".days rect{fill:var(--k1)}\n",
        ".days .base{fill:var(--line)}\n",
        "figure{margin:16px 0 0}\n",
        "figcaption{margin-bottom:8px}\n",
        ".axis{display:flex;justify-content:space-between}\n",
        "table{border-collapse:collapse;font-size:.9rem}\n",
        ".wide{overflow-x:auto}\n",
        ".wide th,.wide td{white-space:nowrap}\n",
        ".wide .path{white-space:normal;overflow-wrap:anywhere;min-width:14em}\n",
        ".legend{margin-top:16px;width:100%}\n",
        ("@media (min-width:760px){.legend tbody{display:grid;grid-template-columns:1fr 1fr;grid-auto-flow:column;"
         "grid-template-rows:repeat(6,auto);column-gap:40px}.legend thead{display:none}.legend tr{display:flex;"
         "justify-content:space-between}.legend td{padding-right:0}}\n"),
        "th{text-align:left;font-weight:400}\n",
        "thead th{color:var(--muted)}\n",
        "th,td{padding:3px 24px 3px 0;vertical-align:middle}\n",
        ".n{text-align:right;font-variant-numeric:tabular-nums}\n",
        ".legend svg{width:14px;height:14px;margin-right:10px;vertical-align:-2px}\n",
        ".none th,.none td{color:var(--muted)}\n",
        "tr{border-bottom:1px solid var(--line)}\n",
        (".finding{background:var(--card);border:1px solid var(--line);border-left:5px solid var(--muted);border-radius:10px;"
         "padding:14px 18px;margin:0 0 12px}\n"),
        ".s-loss,.s-error{border-left-color:var(--bad)}\n",
        ".s-warning{border-left-color:var(--warn)}\n",
        ".s-repaired{border-left-color:var(--good)}\n",
        (".badge{display:inline-block;font-size:.75rem;text-transform:uppercase;letter-spacing:.04em;border:1px solid;"
         "border-radius:6px;padding:0 7px;margin-right:6px;color:var(--muted)}\n"),
        ".s-loss .badge,.s-error .badge{color:var(--bad);background:var(--badbg)}\n",
        ".s-warning .badge{color:var(--warn);background:var(--warnbg)}\n",
        ".s-repaired .badge{color:var(--good);background:var(--goodbg)}\n",
        "code{font:.9em ui-monospace,monospace;overflow-wrap:anywhere}\n",
        ".slug{color:var(--muted);font-weight:400}\n",
        "dl{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:2px 16px;margin:0;font-size:.9rem}\n",
        "dt{color:var(--muted)}\n",
        "dd{margin:0;overflow-wrap:anywhere}\n",
        "dd ul{margin:0;padding-left:18px}\n",
        ".next{margin:10px 0 0}\n",
        ".next code{background:var(--bg);border:1px solid var(--line);border-radius:6px;padding:2px 8px}\n",
        ".facts{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:12px 18px}\n",
        "@media (max-width:560px){dl{grid-template-columns:minmax(0,1fr)}dt{margin-top:6px}}\n",
        "@media print{body{background:#fff}.finding,.tiles li{break-inside:avoid}}\n",
        NULL,
};
