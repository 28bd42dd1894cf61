// Pages. One self-contained file each: no request leaves the page but to us, and its policy names the hash of every
// script and style it holds, so that nothing that gets into it by accident can run.

import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Answer } from './route.ts'

/** The answer of a route that serves `html`. Inline event handlers and style attributes do not work in it. */
export function createHtmlPage(html: string): Answer<'text/html'> {
  const policy = [
    "default-src 'none'",
    `script-src ${hashesOf(html, 'script')}`,
    `style-src ${hashesOf(html, 'style')}`,
    "connect-src 'self'",
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ]
  return { body: html, headers: { 'Content-Security-Policy': policy.join('; ') } }
}

/**
 * The page in `folder`: page.html, page.css and its scripts in the order of their names; kept apart for whoever reads them,
 * together for the browser. What all pages share comes first.
 */
export function readPage(folder: string): Answer<'text/html'> {
  const shared = join(import.meta.dirname, 'page')
  const html = readFileSync(join(folder, 'page.html'), 'utf8')
    .replace('/* style */', () => readAll('.css', shared, folder))
    .replace('/* script */', () => readAll('.js', shared, folder))
  return createHtmlPage(html)
}

function readAll(ending: string, ...folders: readonly string[]): string {
  const files = folders.flatMap((folder) =>
    readdirSync(folder)
      .filter((name) => name.endsWith(ending))
      .sort()
      .map((name) => join(folder, name)),
  )
  return files.map((file) => readFileSync(file, 'utf8')).join('')
}

function hashesOf(html: string, tag: 'script' | 'style'): string {
  const contents = [...html.matchAll(new RegExp(`<${tag}>([\\s\\S]*?)</${tag}>`, 'g'))].map(
    ([, content = '']) => content,
  )
  const hashes = contents.map((content) => `'sha256-${createHash('sha256').update(content).digest('base64')}'`)
  return hashes.length === 0 ? "'none'" : hashes.join(' ')
}

export function escapeHtml(text: string): string {
  const entities: Readonly<Record<string, string>> = {
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    '"': '&quot;',
    "'": '&#39;',
  }
  return text.replaceAll(/[&<>"']/g, (character) => entities[character] ?? character)
}
