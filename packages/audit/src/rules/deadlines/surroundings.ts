// Where code runs, as far as rules of deadlines ask: in a server, in somebody's browser, or started by hand by someone who watches; and the component it is of.
// Nobody needs a finding about a script that a person will interrupt, or about a page that its reader reloads.

import type { FileFacts, Value } from '../../facts/facts.ts'
import type { Manifest } from '../../repository/configuration.ts'
import { folderOf, nameOf } from '../../repository/paths.ts'
import type { Repository } from '../../repository/repository.ts'
import type { Outbound } from '../../system/outbound.ts'
import { isByHand, isPage } from '../places.ts'
import { optionOf } from '../queries.ts'

/** By somebody who can interrupt it. */
const WATCHED = /(^|\/)(cmd|ops)\//
const NAMED_BY_HAND =
  /(^|[_-])(tests?|testing|suite|e2e|demo|benchmark|seed|migrat\w+|smoke|debug|locust\w*)([_-].*)?\.(py|[cm]?[jt]s)$/
const AT_THE_TOP =
  /(^|[_-])(check|validat\w+|verify|verification|diagnos\w+|setup|load|cleanup|fix|run|example)([_-].*)?\.(py|[cm]?[jt]s)$/
const TALKS_TO_PEOPLE =
  /^(commander|inquirer|@inquirer\/.+|prompts|yargs|@clack\/prompts|@oclif\/core|meow|cac|enquirer|argparse|click|typer|alembic)$/
const SERVES = /^(express|fastify|koa|hono|@nestjs\/core|next|@hapi\/hapi)$/

/** Libraries that end a call themselves, after so long that nobody waits for it. */
export const BOUNDED_BY_MINUTES: ReadonlySet<string> = new Set(['aiohttp'])

const KEPT = new WeakMap<FileFacts, boolean>()

export function isByHandFile(repository: Repository, facts: FileFacts): boolean {
  const kept = KEPT.get(facts) ?? findByHand(repository, facts)
  KEPT.set(facts, kept)
  return kept
}

function findByHand(repository: Repository, facts: FileFacts): boolean {
  const { file } = facts
  const name = nameOf(file)
  if (
    isByHand(file) ||
    WATCHED.test(file) ||
    NAMED_BY_HAND.test(name) ||
    (folderOf(file) === '' && AT_THE_TOP.test(name))
  )
    return true
  const talks = facts.imports.some(({ module }) => TALKS_TO_PEOPLE.test(module))
  if (facts.language === 'python') return (talks && name === 'env.py') || isScript(repository, facts)
  const isLoose = folderOf(file) === '' && facts.exports.length === 0 && !/^(index|server|app|main|worker)\b/.test(name)
  if (talks || isLoose || isTrial(facts)) return true
  const names = [...(manifestOf(repository, file)?.dependencies.keys() ?? [])]
  return (
    names.some((each) => TALKS_TO_PEOPLE.test(each)) &&
    /(^|\/)commands\//.test(file) &&
    !names.some((each) => SERVES.test(each))
  )
}

/** `client.js` beside a server, which gives nothing to anybody: to try the server with. `healthcheck.js`: whoever starts it ends it. */
function isTrial({ file, exports, assignments }: FileFacts): boolean {
  return (
    /(^|[/_-])(?:client|health-?check)\.[cm]?[jt]s$/.test(file) &&
    exports.length === 0 &&
    !assignments.some(({ target }) => /^(?:module\.)?exports\b/.test(target.text))
  )
}

const STAYS =
  /(?:^|\.)(?:serve|serve_forever|start|run_forever|run_app|run_server|wait_for_termination|start_consuming|listen|consume|worker_main|infinite_loop|run_polling|start_server|launch)$/

/** `if __name__ == '__main__'` in a file that nobody imports and that does not stay: somebody starts it, and sees it end. */
function isScript(repository: Repository, facts: FileFacts): boolean {
  const isStarted = facts.blocks.some(({ kind, test }) => kind === 'branch' && test !== undefined && isMain(test))
  if (!isStarted || importedNames(repository).has(nameOf(facts.file).replace(/\.py$/, ''))) return false
  const stays =
    facts.blocks.some(({ kind, test }) => kind === 'loop' && test === undefined) ||
    facts.calls.some(
      ({ callee }) =>
        STAYS.test(callee.text) || /^(?:app|server|uvicorn|web|mcp|bot|application)\.run$/.test(callee.text),
    )
  return !stays
}

function isMain(test: Value): boolean {
  return (
    test.kind === 'operation' &&
    [test.left, test.right].some((side) => side.kind === 'path' && side.path.text === '__name__')
  )
}

const IMPORTED = new WeakMap<Repository['facts'], ReadonlySet<string>>()

/** Last names of what Python imports anywhere: enough to tell that a file may be imported, and a hundred times cheaper than where each leads. */
function importedNames({ facts }: Repository): ReadonlySet<string> {
  const kept = IMPORTED.get(facts)
  if (kept !== undefined) return kept
  const found = new Set<string>()
  for (const { imports, language } of facts.values()) {
    if (language !== 'python') continue
    for (const { module, imported } of imports) {
      found.add(module.slice(module.lastIndexOf('.') + 1))
      found.add(imported)
    }
  }
  IMPORTED.set(facts, found)
  return found
}

const SERVERS =
  /^(express|fastify|koa|@koa\/.*|hono|@hono\/.*|@nestjs\/(core|common|microservices|axios)|restify|@hapi\/hapi|polka|next\/server|server-only|bullmq|bull|amqplib|kafkajs|ioredis|pg|@prisma\/client|@grpc\/grpc-js|node:.+|fs|fs\/promises|crypto|http|https|net|os|path|stream|child_process|worker_threads)$/
const PAGES =
  /^(react|preact|vue|svelte|@angular\/core|solid-js|next|nuxt|@sveltejs\/kit|astro|expo|react-native|vite)$/
const BOTH_SIDES = /^(next|nuxt|@sveltejs\/kit|astro|@remix-run\/.+|@react-router\/node|express|fastify|hono)$/
const PUBLIC = /^(NEXT_PUBLIC_|VITE_|REACT_APP_|PUBLIC_|EXPO_PUBLIC_|NODE_ENV$|DEV$|PROD$|MODE$|SSR$|BASE_URL$)/

/** A client that sends the cookies of whoever reads the page. */
export function isOfPage({ site, client }: Outbound): boolean {
  const calls = client === undefined ? [site.call] : [site.call, client.site.call]
  return calls.some(
    (call) =>
      optionOf(call, 'withCredentials') !== undefined ||
      // 'include'; those of a cloud are an object, or what gives them.
      /^(?:string|operation)$/.test(optionOf(call, 'credentials')?.kind ?? ''),
  )
}

/** Runs in a browser, or may: nothing says that it runs in a server. */
export function mayBePage(repository: Repository, facts: FileFacts): boolean {
  if (facts.language === 'python') return false
  if (/\.[jt]sx$/.test(facts.file)) return !/(^|\/)route\.[jt]sx$/.test(facts.file)
  const names = [...(manifestOf(repository, facts.file)?.dependencies.keys() ?? [])]
  const isPages = names.some((name) => PAGES.test(name))
  // A page may have settings that look like an environment; only where both sides share a package do they tell them apart.
  if (isServerSide(facts, !isPages || names.some((name) => BOTH_SIDES.test(name)))) return false
  if (isPage(facts) || facts.calls.some(({ callee }) => callee.text === 'EventSource' && callee.root === 'global'))
    return true
  return isPages
}

function isServerSide(facts: FileFacts, readsEnvironment: boolean): boolean {
  const isNamed = /(^|\/)(api|server|backend)\/|(^|\/)route\.[jt]s$|\.server\.[jt]s$/.test(facts.file)
  // `src/api/client.ts` of a page is no server.
  if (isNamed && !/\/src\/(api|services)\//.test(facts.file)) return true
  return (
    facts.imports.some(({ module, isTypeOnly }) => !isTypeOnly && SERVERS.test(module)) ||
    (readsEnvironment && facts.envReads.some(({ name }) => !PUBLIC.test(name)))
  )
}

const MANIFESTS = new WeakMap<Repository, ReadonlyMap<string, Manifest>>()

/** The manifest that a file is under, the nearest one. */
function manifestOf(repository: Repository, file: string): Manifest | undefined {
  const kept =
    MANIFESTS.get(repository) ??
    new Map(repository.configuration.manifests.map((each) => [folderOf(each.file), each] as const))
  MANIFESTS.set(repository, kept)
  for (let folder = folderOf(file); ; folder = folderOf(folder)) {
    const found = kept.get(folder)
    if (found !== undefined || folder === '') return found
  }
}

/** The folder of the nearest manifest, or the first folder: what is built and run as one. */
export function componentOf(repository: Repository, file: string): string {
  const found = manifestOf(repository, file)
  const folder = found === undefined ? '' : folderOf(found.file)
  return folder === '' ? (file.includes('/') ? (file.split('/')[0] as string) : 'the repository') : folder
}

/** What is written out as this machine is for whoever develops. */
export function isLocal(target: string | undefined): boolean {
  return target === 'localhost' || target === '127.0.0.1'
}
