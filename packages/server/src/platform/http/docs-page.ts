// /docs: the API as a page, made once at start from the document. No script: `details` fold by themselves.

import { createHtmlPage, escapeHtml } from './html-page.ts'
import type { JsonSchema, OpenApi, Operation, Parameter } from './openapi.ts'
import type { Answer } from './route.ts'

const STYLE = `
:root { color-scheme: light dark; --ink: #16202a; --dim: #5b6b7a; --ground: #f6f8fa; --card: #fff; --line: #dde4ea; --accent: #0b6bcb }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --dim: #93a3b3; --ground: #0e1419; --card: #161d25; --line: #29333d; --accent: #6cb6ff } }
* { box-sizing: border-box }
body { margin: 0; background: var(--ground); color: var(--ink); font: 15px/1.5 system-ui, sans-serif }
main { max-width: 56rem; margin: 0 auto; padding: 2rem 1rem 4rem }
h1 { font-size: 1.5rem; margin: 0 } h2 { font-size: 1rem; margin: 2rem 0 .5rem; color: var(--dim); text-transform: capitalize }
p { color: var(--dim); margin: .4rem 0 } a { color: var(--accent) }
details { background: var(--card); border: 1px solid var(--line); border-radius: 8px; margin: .4rem 0 }
summary { cursor: pointer; padding: .55rem .8rem; display: flex; gap: .7rem; align-items: baseline; flex-wrap: wrap }
summary b { font: 600 .78rem ui-monospace, monospace; min-width: 4rem; color: var(--accent) }
summary span { color: var(--dim); margin-left: auto }
code, pre { font: .85rem/1.5 ui-monospace, monospace } .old { text-decoration: line-through }
.body { padding: 0 .9rem .8rem; border-top: 1px solid var(--line); overflow-x: auto }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 } td { padding: .25rem .6rem .25rem 0; vertical-align: top; border-top: 1px solid var(--line) }
pre { margin: .4rem 0; padding: .6rem .8rem; background: var(--ground); border-radius: 6px; overflow-x: auto }
h3 { font-size: .85rem; margin: .9rem 0 .2rem }
`

export function createDocsPage(document: OpenApi): Answer<'text/html'> {
  const byTag = new Map<string, string[]>()
  for (const [path, operations] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      const tag = operation.tags[0] ?? 'other'
      byTag.set(tag, [...(byTag.get(tag) ?? []), writeOperation(document, method, path, operation)])
    }
  }
  // What everybody has comes last.
  const rank = (tag: string): number => ['health', 'pages'].indexOf(tag)
  const sections = [...byTag]
    .sort(([a], [b]) => rank(a) - rank(b) || (a < b ? -1 : 1))
    .map(([tag, parts]) => `<h2>${escapeHtml(tag)}</h2>${parts.join('')}`)
  return createHtmlPage(`<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Ripstop API</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>${STYLE}</style></head><body><main>
<h1>Ripstop API <small>${escapeHtml(document.info.version)}</small></h1>
<p>${code(document.info.description)} The same as data: <a href="/openapi.json">/openapi.json</a>. Live: <a href="/">the mesh</a>.</p>
${sections.join('\n')}</main></body></html>`)
}

function writeOperation(document: OpenApi, method: string, path: string, operation: Operation): string {
  const { summary, description, parameters, requestBody, responses, deprecated } = operation
  const body = requestBody?.content['application/json']?.schema
  const [status, answer] = Object.entries(responses)[0] ?? []
  const [type, content] = Object.entries(answer?.content ?? {})[0] ?? []
  const shown = type === 'application/json' && content !== undefined ? example(document, content.schema) : (type ?? '')
  return `<details><summary><b>${method.toUpperCase()}</b><code${deprecated === true ? ' class="old"' : ''}>${escapeHtml(path)}</code><span>${escapeHtml(summary)}</span></summary><div class="body">${
    description === undefined ? '' : `<p>${escapeHtml(description)}</p>`
  }${parameters.length === 0 ? '' : `<h3>Parameters</h3><table>${parameters.map(writeParameter).join('')}</table>`}${
    body === undefined ? '' : `<h3>Body</h3><pre>${escapeHtml(example(document, body))}</pre>`
  }<h3>Answer ${status ?? ''}</h3><pre>${escapeHtml(shown)}</pre></div></details>`
}

function writeParameter({ name, in: where, required, description, schema }: Parameter): string {
  const facts = [where, String(schema.type ?? ''), required ? 'required' : ''].filter((fact) => fact !== '')
  return `<tr><td><code>${escapeHtml(name)}</code></td><td>${facts.join(', ')}</td><td>${code(description ?? '')}</td></tr>`
}

/** Backticks become code. */
function code(text: string): string {
  return escapeHtml(text).replaceAll(/`([^`]+)`/g, '<code>$1</code>')
}

function example(document: OpenApi, schema: JsonSchema): string {
  return JSON.stringify(sample(document, schema, 0), null, 2)
}

const DEPTH_MAX = 8

function sample(document: OpenApi, schema: JsonSchema, depth: number): unknown {
  if (depth > DEPTH_MAX) return '…'
  const { $ref, examples, type, properties, items, anyOf, oneOf, format } = schema
  const inner = (part: unknown): unknown => sample(document, (part ?? {}) as JsonSchema, depth + 1)
  if (typeof $ref === 'string') return inner(document.components.schemas[$ref.replace('#/components/schemas/', '')])
  if (Array.isArray(examples) && examples.length > 0) return examples[0]
  if (Array.isArray(schema.enum)) return schema.enum.join(' | ')
  if ('const' in schema) return schema.const
  const variants = (anyOf ?? oneOf) as readonly unknown[] | undefined
  if (variants !== undefined) return inner(variants[0])
  if (properties !== undefined) {
    return Object.fromEntries(Object.entries(properties as object).map(([name, part]) => [name, inner(part)]))
  }
  if (type === 'array') return [inner(items)]
  if (type === 'object') return {}
  const named = Array.isArray(type) ? type[0] : type
  if (named === 'integer' || named === 'number') return schema.default ?? 0
  if (named === 'boolean') return true
  return String(format ?? 'text')
}
