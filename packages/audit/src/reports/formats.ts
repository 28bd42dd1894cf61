// The formats of the report, by name. `json` is the source; the others are drawn from it.

import { renderHtml } from './html.ts'
import { renderJson } from './json.ts'
import { renderJunit } from './junit.ts'
import { renderMarkdown } from './markdown.ts'
import type { Report } from './report.ts'
import { renderSarif } from './sarif.ts'

export const FORMATS = ['md', 'html', 'json', 'sarif', 'junit'] as const
export type Format = (typeof FORMATS)[number]

/** Endings of files. */
export const ENDINGS: Readonly<Record<Format, string>> = {
  md: '.md',
  html: '.html',
  json: '.json',
  sarif: '.sarif',
  junit: '.junit.xml',
}

export interface Rendered {
  readonly text: string
  /** What the format could not hold, in words; undefined: it holds everything. */
  readonly truncated: string | undefined
}

/** `links`: for Markdown, from the report to the audited folder; undefined: places are no links. */
export function render(report: Report, format: Format, links?: string): Rendered {
  switch (format) {
    case 'json':
      return { text: renderJson(report), truncated: undefined }
    case 'md':
      return { text: renderMarkdown(report, links), truncated: undefined }
    case 'html':
      return { text: renderHtml(report), truncated: undefined }
    case 'junit':
      return { text: renderJunit(report), truncated: undefined }
    case 'sarif':
      return renderSarif(report)
    default:
      return format satisfies never
  }
}
