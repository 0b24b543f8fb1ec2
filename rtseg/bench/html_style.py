"""How the report page looks and moves: its style sheet and its few lines of script, both inline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from rtseg.bench.plots_drawing import Role
from rtseg.bench.plots_raster import LIGHT, Rgb

DARK: Final[dict[Role, Rgb]] = {
    "ink": (230, 236, 243),
    "muted": (146, 157, 170),
    "grid": (45, 53, 63),
    "track": (41, 49, 59),
    "accent": (88, 146, 255),
    "bare": (185, 146, 255),
    "bad": (255, 108, 108),
    "good": (74, 194, 107),
    "decode": (56, 178, 208),
    "waiting": (92, 103, 116),
    "preprocess": (45, 200, 182),
    "infer": (129, 125, 255),
    "postprocess": (226, 110, 238),
    "render": (245, 166, 60),
    "sink": (150, 192, 62),
    "rest": (110, 124, 142),
}
"""Colours of the figures on dark; those on light are the PNG's."""


def style_sheet() -> str:
    """Return the whole style sheet: light and dark, screen, phone and paper."""
    roles = "".join(f".f-{role}{{fill:var(--{role})}}.s-{role}{{stroke:var(--{role});fill:none}}" for role in LIGHT)
    return (
        f":root{{{_variables(LIGHT)}--page:#f6f8fa;--card:#fff;--edge:#d8dee6;--shade:#f0f3f7;color-scheme:light}}"
        f"@media (prefers-color-scheme:dark){{@media screen{{:root{{{_variables(DARK)}"
        "--page:#0d1117;--card:#151b23;--edge:#2b343f;--shade:#1b232d;color-scheme:dark}}}"
        f"{roles}{_RULES}"
    )


def _variables(colors: Mapping[Role, Rgb]) -> str:
    return "".join(f"--{role}:rgb({red} {green} {blue});" for role, (red, green, blue) in colors.items())


_RULES: Final = """
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,
 "Helvetica Neue",Arial,sans-serif;-webkit-text-size-adjust:100%}
main{max-width:1180px;margin:0 auto;padding:28px 20px 60px}
h1{font-size:27px;line-height:1.2;margin:0 0 4px;letter-spacing:-.02em}
h2{font-size:18px;margin:0 0 2px;letter-spacing:-.01em}
h3{font-size:15px;margin:22px 0 6px}
p{margin:4px 0}
.lead{color:var(--muted);margin:0 0 3px}
.note{color:var(--muted);font-size:13.5px;margin:0 0 14px;max-width:78ch}
code{font:12.5px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:anywhere}
.command{display:block;background:var(--shade);border-radius:6px;padding:7px 11px;margin-top:10px}
section{background:var(--card);border:1px solid var(--edge);border-radius:12px;padding:20px 22px;margin-top:18px}
.trouble{border-color:var(--bad);border-left-width:5px}
.trouble ul,.said ul{margin:6px 0 0;padding-left:20px}
.trouble strong,.bad{color:var(--bad)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin-top:18px}
.tile{background:var(--card);border:1px solid var(--edge);border-radius:12px;padding:13px 16px}
.tile b{display:block;font-size:25px;line-height:1.25;letter-spacing:-.02em;font-variant-numeric:tabular-nums}
.tile span{color:var(--muted);font-size:13px;overflow-wrap:anywhere}
.wide{overflow-x:auto;margin:0 -22px;padding:0 22px}
table{border-collapse:collapse;width:100%;font-size:13.5px;font-variant-numeric:tabular-nums}
th,td{padding:7px 8px;text-align:right;border-bottom:1px solid var(--edge);white-space:nowrap}
thead th{color:var(--muted);font-weight:500;font-size:12.5px;vertical-align:bottom}
tbody tr:last-child>*{border-bottom:0}
th.name,td.name{text-align:left;position:sticky;left:0;background:var(--card)}
td.name{white-space:normal;min-width:150px}
td.why{text-align:left;color:var(--bad);white-space:normal}
.results th button{all:unset;cursor:pointer;color:inherit}
.results th button:hover,.results th button:focus-visible{color:var(--ink);text-decoration:underline}
.results th[aria-sort=descending] button::after{content:" ↓"}
.results th[aria-sort=ascending] button::after{content:" ↑"}
.figure{display:block;width:100%;height:auto;margin-top:6px;font-family:inherit;overflow:visible}
.figure.phone{display:none}
.figure [data-tip]:hover{filter:brightness(1.15)}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,460px),1fr));gap:10px 34px}
.pair .figure{display:block}
details table{width:auto}
details{border-top:1px solid var(--edge);padding:9px 0}
details:first-of-type{border-top:0}
summary{cursor:pointer;font-weight:500;overflow-wrap:anywhere}
summary .quiet{color:var(--muted);font-weight:400}
dl{display:grid;grid-template-columns:minmax(120px,max-content) 1fr;gap:3px 18px;margin:8px 0;font-size:13.5px}
dt{color:var(--muted)}
dd{margin:0;overflow-wrap:anywhere}
ul.plain{padding-left:18px;margin:6px 0;font-size:13.5px}
#tip{position:fixed;z-index:9;pointer-events:none;background:var(--ink);color:var(--card);padding:4px 9px;
 border-radius:6px;font-size:12.5px;max-width:280px;opacity:0;transition:opacity .1s}
@media (max-width:640px){
 main{padding:18px 10px 40px}
 section{padding:15px 14px;border-radius:10px}
 .wide{margin:0 -14px;padding:0 14px}
 .figure.desk{display:none}.figure.phone{display:block}
 td.name{min-width:118px;max-width:150px}
 dl{grid-template-columns:1fr}dt{margin-top:5px}
}
@media print{
 body{background:#fff;font-size:11px}
 main{max-width:none;padding:0}
 section,.tile{border-color:#ccc;break-inside:avoid-page}
 section.long{break-inside:auto}
 table{font-size:9px}th,td{padding:4px 4px}
 .wide{overflow:visible}
 .figure,.tile,tr{break-inside:avoid}
 h2,h3,.note,summary{break-after:avoid}
}
"""

SCRIPT: Final = """
(function(){
 var tip=document.createElement('div');tip.id='tip';document.body.appendChild(tip);
 document.querySelectorAll('[data-tip]>title').forEach(function(t){t.remove()});
 document.addEventListener('pointermove',function(e){
  var at=e.target.closest&&e.target.closest('[data-tip]');
  tip.style.opacity=at?1:0;
  if(!at)return;
  tip.textContent=at.getAttribute('data-tip');
  var x=Math.min(e.clientX+14,innerWidth-tip.offsetWidth-8),y=e.clientY-tip.offsetHeight-10;
  tip.style.left=Math.max(8,x)+'px';tip.style.top=(y<8?e.clientY+18:y)+'px';
 });
 document.querySelectorAll('.results').forEach(function(table){
  var heads=Array.prototype.slice.call(table.tHead.rows[0].cells),body=table.tBodies[0];
  heads.forEach(function(head,column){
   var button=head.querySelector('button');if(!button)return;
   button.addEventListener('click',function(){
    var down=head.getAttribute('aria-sort')!=='descending';
    heads.forEach(function(other){other.removeAttribute('aria-sort')});
    head.setAttribute('aria-sort',down?'descending':'ascending');
    var value=function(row){
     var cell=row.cells[column];
     var text=cell&&cell.getAttribute('data-value');
     return text===null||text===undefined||text===''?null:parseFloat(text);
    };
    Array.prototype.slice.call(body.rows).sort(function(a,b){
     var x=value(a),y=value(b);
     if(x===null||y===null)return (x===null)-(y===null);
     return down?y-x:x-y;
    }).forEach(function(row){body.appendChild(row)});
   });
  });
 });
 addEventListener('beforeprint',function(){document.querySelectorAll('details').forEach(function(d){d.open=true})});
})();
"""
