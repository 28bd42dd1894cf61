// The style of the page: light and dark by the reader's setting, printable, no font or picture from elsewhere. Severity is told by a word and a shape as well
// as by colour.

export const STYLE = `
:root{color-scheme:light dark;--bg:#fbfaf8;--card:#fff;--ink:#1d2025;--dim:#646b76;--line:#e2e0da;--critical:#b3123d;--high:#c2500a;--medium:#8a6d00;--low:#41708c;--accent:#2a5bd7;--ok:#1f7a4d}
@media (prefers-color-scheme:dark){:root{--bg:#14161a;--card:#1c1f25;--ink:#e8e6e1;--dim:#9aa2ae;--line:#31353d;--critical:#ff6d8f;--high:#ff9d5c;--medium:#e3c04d;--low:#7fb4d6;--accent:#8fb0ff;--ok:#67c797}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:1080px;margin:0 auto;padding:28px 20px 80px}
h1{font-size:26px;margin:0 0 2px;overflow-wrap:anywhere}h2{font-size:19px;margin:40px 0 12px}h3{font-size:15px;margin:22px 0 8px}
p{margin:6px 0}small,.dim{color:var(--dim)}
code{font:12.5px/1.45 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:anywhere}
.head{display:flex;gap:22px;align-items:center;flex-wrap:wrap}
.grade{width:108px;height:108px;border-radius:22px;display:grid;place-items:center;font-size:64px;font-weight:700;border:3px solid currentColor;background:var(--card)}
.grade.none{font-size:15px;text-align:center;padding:8px;color:var(--dim)}
.gA,.gB{color:var(--ok)}.gC{color:var(--medium)}.gD{color:var(--high)}.gE{color:var(--critical)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(130px,1fr));gap:10px;margin:20px 0}
.tile{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:10px 14px}
.tile b{display:block;font-size:26px;line-height:1.2}.tile span{color:var(--dim);font-size:12.5px}
.critical{color:var(--critical)}.high{color:var(--high)}.medium{color:var(--medium)}.low{color:var(--low)}
.tag{display:inline-block;border:1px solid currentColor;border-radius:99px;padding:0 8px;font-size:12px;line-height:19px;white-space:nowrap}
.wide{overflow-x:auto;background:var(--card);border:1px solid var(--line);border-radius:12px}
table{border-collapse:collapse;width:100%;font-size:13.5px}th,td{text-align:left;padding:7px 12px;border-bottom:1px solid var(--line);vertical-align:top}
tr:last-child td{border-bottom:0}th{color:var(--dim);font-weight:600;font-size:12.5px;white-space:nowrap}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
td.hot{font-weight:700}
.filters{display:flex;gap:10px;flex-wrap:wrap;position:sticky;top:0;background:var(--bg);padding:10px 0;z-index:1}
.filters input,.filters select{font:inherit;color:inherit;background:var(--card);border:1px solid var(--line);border-radius:8px;padding:5px 9px}
.filters input{flex:1 1 180px}
:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
details{background:var(--card);border:1px solid var(--line);border-radius:12px;margin:8px 0;padding:0 14px}
summary{cursor:pointer;padding:10px 0;display:flex;gap:10px;align-items:baseline;flex-wrap:wrap}
summary::before{content:"\\25B8";color:var(--dim)}details[open]>summary::before{content:"\\25BE"}
summary .where{margin-left:auto;color:var(--dim)}
dl{display:grid;grid-template-columns:110px 1fr;gap:4px 14px;margin:0 0 14px}dt{color:var(--dim)}dd{margin:0;overflow-wrap:anywhere}
ul{margin:0;padding-left:18px}
.graph{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:8px;overflow-x:auto}
.graph svg{display:block;max-width:100%;height:auto;min-width:520px;margin:0 auto}
.graph rect{fill:var(--bg);stroke:var(--dim)}.graph text{fill:var(--ink);font:12px system-ui,sans-serif}.graph text.sub{fill:var(--dim);font-size:10.5px}
.graph path{fill:none;stroke:var(--dim);stroke-opacity:.65}.graph path.unknown{stroke-dasharray:5 4}.graph path.held{stroke:var(--ok)}.graph marker path{fill:var(--dim);stroke:none}
.graph g.node{cursor:pointer}.graph .torn rect{stroke:var(--critical);stroke-width:2}
.graph .down rect{fill:var(--critical);fill-opacity:.22;stroke:var(--critical);stroke-width:2}.graph .source rect{fill:var(--critical);fill-opacity:.5;stroke:var(--critical);stroke-width:3}
[hidden]{display:none!important}
@media print{body{background:#fff;color:#000}main{max-width:none;padding:0}.filters{display:none}details{break-inside:avoid;border-color:#bbb}details:not([open])>:not(summary){display:block}h2{break-after:avoid}.tile,.wide,.graph{break-inside:avoid}}
@media (max-width:600px){dl{grid-template-columns:1fr}dt{margin-top:6px}summary .where{margin-left:0}}
`
