// What people have today, on the same files: ESLint with its recommended rules, SonarJS, promise and require-atomic-updates; dclint for compose files.

import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import js from '@eslint/js'
import parser from '@typescript-eslint/parser'
import { DCLinter } from 'dclint'
import { ESLint, type Linter } from 'eslint'
import promise from 'eslint-plugin-promise'
import sonarjs from 'eslint-plugin-sonarjs'
import { LINES_APART_MAX, nameOf, type Spot, type System } from '../../tests/audit/corpus.ts'

/** Which of our rules a peer's message is about; a message of another rule at the same line is no hit, but a coincidence. */
const MEANS: Readonly<Record<string, readonly string[]>> = {
  'no-empty': ['swallowed-error'],
  'sonarjs/no-ignored-exceptions': ['swallowed-error'],
  'sonarjs/cors': ['cors-permissive'],
  'sonarjs/no-hardcoded-passwords': ['hardcoded-secret', 'default-secret'],
  'sonarjs/no-hardcoded-secrets': ['hardcoded-secret', 'default-secret'],
  'sonarjs/todo-tag': ['fake-success', 'alert-not-implemented'],
  'require-atomic-updates': ['lost-update', 'check-then-act-race'],
  'promise/catch-or-return': ['unhandled-rejection', 'floating-promise'],
  'no-async-promise-executor': ['unhandled-rejection'],
  'service-image-require-explicit-tag': ['compose-latest-tag'],
  'no-unbound-port-interfaces': ['compose-db-port-exposed'],
}

export interface PeerScore {
  readonly name: string
  readonly files: number
  readonly messages: number
  /** Rows of the corpus in these files. */
  readonly rows: number
  /** Rows at whose lines it says something. */
  readonly near: number
  /** Of these: for the right reason. */
  readonly right: number
}

interface Message extends Pick<Spot, 'file' | 'line' | 'endLine'> {
  readonly rule: string
}

type Ask = (root: string, files: readonly string[]) => Promise<readonly Message[]>

export async function scorePeers(folder: string, systems: readonly System[]): Promise<readonly PeerScore[]> {
  return [
    await scorePeer('eslint recommended + sonarjs + promise', /\.[cm]?[jt]sx?$/, askEslint, folder, systems),
    await scorePeer('dclint', /compose[^/]*\.ya?ml$/, askDclint, folder, systems),
  ]
}

async function scorePeer(
  name: string,
  pattern: RegExp,
  ask: Ask,
  folder: string,
  systems: readonly System[],
): Promise<PeerScore> {
  let [messages, rows, near, right, files] = [0, 0, 0, 0, 0]
  for (const system of systems) {
    const own = system.findings.filter(({ file }) => pattern.test(file))
    const paths = [...new Set(own.map(({ file }) => file))]
    if (paths.length === 0) continue
    const said = await ask(join(folder, nameOf(system)), paths)
    files += paths.length
    messages += said.length
    rows += own.length
    for (const { file, line, endLine, rule } of own) {
      // As near as ours have to be.
      const [first, last] = [line - LINES_APART_MAX, (endLine ?? line) + LINES_APART_MAX]
      const at = said.filter((one) => one.file === file && one.line <= last && one.endLine >= first)
      if (at.length > 0) near++
      if (at.some((one) => MEANS[one.rule]?.includes(rule) === true)) right++
    }
  }
  return { name, files, messages, rows, near, right }
}

const askEslint: Ask = async (root, files) => {
  const overrideConfig: Linter.Config[] = [
    js.configs.recommended,
    sonarjs.configs.recommended as Linter.Config,
    promise.configs['flat/recommended'] as Linter.Config,
    { files: ['**/*.{ts,tsx,mts,cts,js,jsx,mjs,cjs}'], languageOptions: { parser: parser as Linter.Parser } },
    { rules: { 'require-atomic-updates': 'error', 'no-undef': 'off', 'no-unused-vars': 'off' } },
  ]
  const eslint = new ESLint({ cwd: root, overrideConfigFile: true, overrideConfig, allowInlineConfig: false })
  const results = await eslint.lintFiles([...files])
  return results.flatMap(({ filePath, messages }) =>
    messages.map(({ ruleId, line, endLine }) => ({
      rule: ruleId ?? 'syntax',
      file: relative(root, filePath),
      line,
      endLine: Math.min(endLine ?? line, line), // a message about a whole function is about its first line
    })),
  )
}

const askDclint: Ask = async (root, files) => {
  const linter = new DCLinter({ rules: {}, quiet: false, debug: false, exclude: [] } as never)
  // It takes files by their name only: each is linted alone.
  const copy = mkdtempSync(join(tmpdir(), 'ripstop-dclint-'))
  try {
    return files.flatMap((file) => {
      const path = join(copy, 'docker-compose.yml')
      if (!existsSync(join(root, file))) return []
      writeFileSync(path, readFileSync(join(root, file)))
      return linter
        .lintFiles([path], false)
        .flatMap(({ messages }) => messages.map(({ rule, line }) => ({ rule, file, line, endLine: line })))
    })
  } finally {
    rmSync(copy, { recursive: true })
  }
}
