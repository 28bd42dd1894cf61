// The style of the page: light and dark by the reader's setting, printable, no font or picture from elsewhere. Severity and state are told by a word or a shape as
// well as by colour.

export const STYLE = `
:root{color-scheme:light dark;--bg:#f7f6f3;--card:#fff;--ink:#1b1e24;--dim:#5d6570;--line:#dfdcd5;--soft:#efede8;--critical:#a80f38;--high:#b64a06;--medium:#7a5f00;--low:#37657f;--accent:#2350c4;--ok:#1a6e44}
@media (prefers-color-scheme:dark){:root{--bg:#12141a;--card:#1b1e26;--ink:#e9e7e2;--dim:#9ba3b0;--line:#323742;--soft:#242833;--critical:#ff7493;--high:#ff9f60;--medium:#e6c452;--low:#83b9dc;--accent:#93b2ff;--ok:#6ccb9b}}
*{box-sizing:border-box}
html{scroll-padding-top:52px}
body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
nav{position:sticky;top:0;z-index:3;display:flex;gap:2px;overflow-x:auto;background:var(--bg);border-bottom:1px solid var(--line);padding:6px max(9px,calc(50vw - 601px))}
nav a{color:var(--dim);text-decoration:none;padding:5px 11px;border-radius:8px;white-space:nowrap;font-size:13.5px}nav a:hover{background:var(--soft);color:var(--ink)}
main{max-width:1220px;margin:0 auto;padding:22px 20px 90px}
h1{font-size:28px;line-height:1.2;margin:0 0 4px;overflow-wrap:anywhere}h2{font-size:19px;margin:40px 0 8px}h3{font-size:15px;margin:22px 0 8px}
p{margin:6px 0}small{font-size:12px}.dim,.note,.lead{color:var(--dim)}.lead{margin:0 0 12px;max-width:78ch}.note{font-size:12.5px;margin:8px 2px}
a{color:var(--accent)}code{font:12.5px/1.45 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:anywhere}
.hidden{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.head{display:flex;gap:24px;align-items:center}.head .title{min-width:0}.head p{max-width:80ch}.head small{color:var(--dim)}
.grade{flex:none;width:96px;height:96px;border-radius:20px;display:grid;place-items:center;font-size:58px;font-weight:700;border:3px solid currentColor;background:var(--card)}
.grade.none{font-size:13px;line-height:1.3;text-align:center;padding:0;color:var(--dim)}
.gA,.gB{color:var(--ok)}.gC{color:var(--medium)}.gD{color:var(--high)}.gE{color:var(--critical)}
.tiles{display:flex;flex-wrap:wrap;background:var(--card);border:1px solid var(--line);border-radius:12px;margin:18px 0 0}
.tile{flex:1 1 auto;padding:7px 16px;font-size:14px;white-space:nowrap}.tile+.tile{border-left:1px solid var(--line)}
.tile b{font-size:25px;line-height:1.2;margin-right:3px;font-variant-numeric:tabular-nums}.tile.how{flex:0 1 auto;align-self:center;color:var(--dim);font-size:12px;border:0!important}.tile.zero,.tile.zero b{color:var(--dim);font-weight:400}
#summary h2{margin:26px 0 8px}
.critical{color:var(--critical)}.high{color:var(--high)}.medium{color:var(--medium)}.low{color:var(--low)}.ok{color:var(--ok)}
.tag{display:inline-block;border:1px solid currentColor;border-radius:99px;padding:0 8px;font-size:12px;line-height:18px;white-space:nowrap}
.risks{list-style:none;margin:0;padding:0;background:var(--card);border:1px solid var(--line);border-radius:12px;overflow:hidden}
.risk{display:grid;grid-template-columns:minmax(0,3fr) minmax(0,2fr);gap:0 26px;border-left:4px solid var(--dim);padding:10px 16px;overflow-wrap:anywhere;font-size:14px;color:var(--ink)}.risk+.risk{border-top:1px solid var(--line)}
.risk.critical{border-left-color:var(--critical)}.risk.high{border-left-color:var(--high)}.risk.medium{border-left-color:var(--medium)}.risk.low{border-left-color:var(--low)}.risk h3{font-size:15px;margin:0 0 3px}.risk h3 .tag{font-weight:400;margin-right:4px}.risk>p{align-self:center}.risk h3 a{color:inherit;text-decoration-color:var(--dim);text-underline-offset:3px}.risk p{margin:2px 0}
.reach{color:var(--dim);font-size:13px}
.wide{position:relative;overflow-x:auto;background:var(--card);border:1px solid var(--line);border-radius:12px}
table{border-collapse:collapse;width:100%;font-size:13.5px}th,td{text-align:left;padding:7px 12px;border-bottom:1px solid var(--line);vertical-align:top}
tr:last-child td{border-bottom:0}th{color:var(--dim);font-weight:600;font-size:12.5px;white-space:nowrap}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
td{overflow-wrap:break-word}td:first-child:not(.n){min-width:92px}td.n:first-child{color:var(--dim)}tr.other{display:none}.tight td{padding:4px 12px}.tight .lead{font-size:14px;margin:0 0 8px}.rule{white-space:nowrap}
#permanent td:first-child{min-width:220px}#phases td:first-child{min-width:0}#phases td:nth-child(2){width:100%}
.state i{display:inline-block;width:1.4em;font-style:normal;font-weight:700}.state{white-space:nowrap}.state.torn{color:var(--critical)}.state.to-review{color:var(--medium)}.state.nothing-found{color:var(--ok)}.state.not-measurable-here{color:var(--dim)}
.guard{display:inline-block;white-space:nowrap;font-size:12px;padding:0 7px;border-radius:6px;background:var(--soft);margin:1px 0}.guard.present{color:var(--ok)}.guard.absent,.guard.ineffective,.guard.unwired,.guard.bypassed{color:var(--critical)}
.graph{position:relative;background:var(--card);border:1px solid var(--line);border-radius:12px;padding:10px;overflow-x:auto;margin-bottom:8px}
.graph{margin:0 0 8px}@media (min-width:700px){.graph.broad{margin-inline:max(calc(50% - 50vw + 28px),-200px)}}.graph figcaption{color:var(--dim);font-size:12.5px;padding:0 4px 4px}.graph svg{display:block;max-width:100%;height:auto;margin:0 auto}
.graph .box{fill:var(--bg);stroke:var(--dim);stroke-width:1.2}.graph .lid{fill:none;stroke:var(--dim)}.graph .external .box{stroke-dasharray:5 4}
.graph text{fill:var(--ink);font:600 12.5px system-ui,sans-serif}.graph text.sub{fill:var(--dim);font-weight:400;font-size:11px}
.graph .edge{fill:none;stroke:var(--dim);stroke-opacity:.6;stroke-width:1.4}.graph .edge.busy{stroke-opacity:.22}.graph .edge.unknown{stroke-dasharray:5 4}.graph .edge.held,.graph .edge.soft{stroke:var(--ok);stroke-dasharray:1.5 4;stroke-linecap:round;stroke-width:2}.graph marker path{fill:var(--dim);fill:context-stroke}
.graph .badge rect{fill:var(--card);stroke:var(--medium)}.graph .badge text{fill:var(--medium);font-size:11px;text-anchor:middle}.graph .badge.severe rect{stroke:var(--critical)}.graph .badge.severe text{fill:var(--critical)}
.node{cursor:pointer}.node:focus{outline:none}.node:focus-visible .box{stroke:var(--accent);stroke-width:3}.node[aria-pressed=true] .box{stroke-width:3.5}
.pointed .node:not(.down):not(.source){opacity:.38}.pointed .graph .edge:not(.hot){stroke-opacity:.16;marker-end:none}.pointed .graph .edge.busy:not(.hot){stroke-opacity:.05}
.graph .down .box{fill:color-mix(in srgb,var(--critical) 14%,var(--card));stroke:var(--critical);stroke-width:2}.graph .source .box{fill:color-mix(in srgb,var(--critical) 38%,var(--card));stroke:var(--critical);stroke-width:3}
.graph .edge.hot{stroke:var(--critical);stroke-opacity:1;stroke-width:2.4}
.legend{display:flex;flex-wrap:wrap;gap:4px 20px;font-size:12.5px;color:var(--dim);margin:0 0 10px}.legend i{display:inline-block;vertical-align:middle;margin-right:7px}
.legend .line{width:30px;border-top:2px solid var(--dim)}.legend .unknown{border-top-style:dashed}.legend .held{border-top:2px dotted var(--ok)}.legend .dot{width:22px;height:13px;border:1px solid var(--critical);border-radius:99px}
#radius{min-height:2.9em}
.chips-title{margin:12px 0 0}.chips{margin:2px 0 10px;line-height:2}.chip{font:inherit;font-size:13px;color:inherit;background:var(--card);border:1px solid var(--line);border-radius:99px;padding:1px 10px;cursor:pointer;overflow-wrap:anywhere}.chip.severe{border-color:var(--critical)}.chip.source{background:color-mix(in srgb,var(--critical) 25%,var(--card))}.chip small{color:var(--dim)}
.more>summary{padding:10px 2px}details.more .wide{border:0;border-top:1px solid var(--line);border-radius:0;margin:0 -14px}
details.phase,details.more,.list{background:var(--card);border:1px solid var(--line);border-radius:12px;margin:8px 0;padding:0 14px}
details.cascade,details.finding{padding:0 14px;border-top:1px solid var(--line);scroll-margin-top:110px}.many .finding{content-visibility:auto;contain-intrinsic-size:auto 40px}.list{padding:0!important}.list:empty{display:none}.finding>summary{display:grid;align-items:baseline;grid-template-columns:12px 68px minmax(0,1fr) auto minmax(0,auto);gap:10px;padding:8px 0}.finding .what small{color:var(--dim);font-size:13px}.finding .tag{justify-self:start}.finding .where{text-align:right}
details.finding:first-child,details.cascade:first-child{border-top:0}.finding[open]>summary .what{font-weight:600}
details.phase .wide{border:0;border-top:1px solid var(--line);border-radius:0;margin:0 -14px}
summary{cursor:pointer;padding:9px 0;list-style:none}summary::-webkit-details-marker{display:none}
summary::before{content:"\\25B8";color:var(--dim);margin-right:10px}.finding>summary::before{margin:0}details[open]>summary::before{content:"\\25BE"}
summary .what{font-weight:500}summary .where{color:var(--dim)}
.steps{margin:0 0 14px;padding-left:0;list-style:none;counter-reset:step}.steps li{position:relative;padding:0 0 12px 34px;counter-increment:step}
.steps li::before{content:counter(step);position:absolute;left:0;top:1px;width:21px;height:21px;border-radius:50%;border:1.5px solid var(--critical);color:var(--critical);font-size:12px;line-height:18px;text-align:center}
.steps li:not(:last-child)::after{content:"";position:absolute;left:10px;top:25px;bottom:1px;border-left:1.5px solid var(--line)}
.waves{list-style:none;display:flex;gap:10px;padding:0;overflow-x:auto;margin:0 0 8px}.waves li{flex:1 0 150px;background:var(--card);border:1px solid var(--line);border-radius:12px;padding:10px 12px}.waves small{display:block;margin-bottom:4px}.waves span{display:inline-block;background:var(--soft);border-radius:6px;padding:1px 8px;margin:2px 3px 2px 0;font-size:13px;overflow-wrap:anywhere}
.halves{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,420px),1fr));gap:0 20px}.halves>*{min-width:0}
.checks td,.checks th{text-align:center}.checks td{padding:5px 7px}.checks td:first-child,.checks th:first-child{text-align:left;position:sticky;left:0;background:var(--card)}.checks th{height:104px;vertical-align:bottom;padding:6px 7px}.checks th span{display:inline-block;writing-mode:vertical-rl;transform:rotate(180deg);font-weight:500;line-height:1}.checks th:first-child{vertical-align:bottom}
.check{white-space:nowrap;font-size:12px}.check i{font-style:normal;font-weight:700;font-size:14px}.check.yes{color:var(--ok)}.check.no{color:var(--critical)}.check.not-seen{color:var(--dim)}.check .word{display:block;font-size:10.5px;line-height:1.1}
.filters{display:flex;gap:8px;flex-wrap:wrap;align-items:center;position:sticky;top:42px;background:var(--bg);padding:10px 0;z-index:2}
.filters input,.filters select,.filters button{font:inherit;font-size:14px;color:inherit;background:var(--card);border:1px solid var(--line);border-radius:8px;padding:5px 9px;max-width:230px}
.filters input{flex:1 1 180px;max-width:none}.filters button{cursor:pointer}
:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
dl{display:grid;grid-template-columns:96px 1fr;gap:5px 14px;margin:0 0 14px}dt,dd small{color:var(--dim)}dd{margin:0;overflow-wrap:anywhere}
ul,dd ol{margin:0;padding-left:18px}.pairs{columns:2;font-size:14px}.pairs li{break-inside:avoid}
[hidden]{display:none!important}
@media (max-width:640px){.wide table{min-width:720px}.phase td:first-child{min-width:250px}main{padding:18px 14px 60px}.head{gap:14px;align-items:flex-start}.grade{width:64px;height:64px;font-size:40px;border-radius:16px}.tiles{display:grid;grid-template-columns:repeat(3,1fr)}.tile{padding:6px 10px;font-size:13px;white-space:normal}.tile+.tile{border-left:0}.tile b{display:block;font-size:22px}.halves .wide table{min-width:0}.risk{grid-template-columns:1fr;padding:10px 12px}.pairs{columns:1}.finding>summary{grid-template-columns:12px 68px 1fr;row-gap:2px}.finding>summary .what{grid-column:1/-1;grid-row:2}.finding .where{grid-column:1/-1;grid-row:3;text-align:left}h1{font-size:22px}dl{grid-template-columns:1fr;gap:2px}dt{margin-top:8px}.graph svg{max-width:none}.filters{position:static}.filters select{max-width:none;flex:1 1 40%}}
@media print{:root{--bg:#fff;--card:#fff;--ink:#000;--dim:#444;--line:#bbb;--soft:#eee;--critical:#a80f38;--high:#b64a06;--medium:#7a5f00;--low:#37657f;--accent:#000;--ok:#1a6e44}body{font-size:11.5px}main{max-width:none;padding:0}nav,.filters,.legend,#radius{display:none!important}a{text-decoration:none}table{font-size:10.5px}code{font-size:9.5px}h2,h3,.lead{break-after:avoid}h2{margin-top:24px}.halves{grid-template-columns:1fr 1fr}.risk{grid-template-columns:3fr 2fr}.tile{padding:5px 9px;font-size:12px}.tile b{font-size:19px}tr,.tile,.risk,.graph,.cascade,.waves,summary{break-inside:avoid}details{border-color:#bbb}.wide,.graph{overflow:visible}.graph svg{max-height:230mm}td,th{padding:4px 6px}}
`
