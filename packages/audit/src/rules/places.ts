// Where a file runs, as far as rules ask: in something that serves, in somebody's browser or editor, or started by hand by someone who watches. By its path and its
// own facts; surroundings.ts of the deadlines also asks the repository. Words that only one rule means stand beside that rule.
//   PL1. A folder says so by its whole name: `devices/` is not `dev/`. What is served stays served: `bin/www`, a server in a folder of pages.

import type { FileFacts } from '../facts/facts.ts'

const FOLDER_BY_HAND =
  /(?:^|\/)(?:\.[\w-]+|(?:[\w-]+[_-])?scripts?|tools?|cli|hack|ci|dev(?:el(?:op(?:ment)?)?|ops|tools?|\d+)?(?:[_-][\w-]+)?|bench(?:marks?)?|load[_-]?(?:tests?|gen\w*)|locust|seed(?:er)?s?|migrations?|management\/commands|notebooks|storybook|docs|testing|qa)\//i
/** Except what a package starts its server with. */
const BIN = /(?:^|\/)bin\/(?!(?:www|server|serve|start|worker|web|api)(?:\.[cm]?[jt]s|\.py)?$)/i
const NAMED_BY_HAND =
  /(?:^|\/)(?:test|debug|demo|smoke|seed|migrate|benchmark|diagnose|investigate)[_-][\w-]*\.(?:[cm]?[jt]s|py)$/i
/** Beside the README; deeper down `verify_token.py` is part of what serves. */
const AT_THE_TOP = /^(?:check|validate|verify|fix|cleanup|try|analyze)[_-][\w-]*\.(?:[cm]?[jt]s|py)$/i

/** Started by people, who see what it does. */
export function isByHand(path: string): boolean {
  return [FOLDER_BY_HAND, BIN, NAMED_BY_HAND, AT_THE_TOP].some((pattern) => pattern.test(path))
}

const OF_PAGES =
  /^(?:react|react-dom|react-native|preact|vue|svelte|solid-js|@angular\/.+|next\/(?:navigation|router|link|image)|@remix-run\/react|@tanstack\/react-query|jquery|mobx|zustand|jotai|redux|react-redux|@reduxjs\/toolkit|swr|firebase\/(?:messaging|analytics|performance)|obsidian|vscode|electron|expo(?:-[\w-]+)?)(?:$|\/)/
const FOLDER_OF_PAGES = /(?:^|\/)(?:public|static|assets|frontend|webapp|client|electron|hooks|components)\//
/** In a folder of pages too: what answers those pages, or holds what they may not. */
const OF_SERVERS =
  /^(?:express|fastify|koa|hono|restify|polka|@hapi\/hapi|@nestjs\/(?:core|common|microservices)|next\/server|server-only|(?:node:)?(?:http|https|http2|net)|@grpc\/grpc-js|bullmq|bull|amqplib|kafkajs|ioredis|redis|pg|mysql2?|mongodb|mongoose|@prisma\/client)(?:$|\/)/

const DRIVES = /^(?:puppeteer(?:-[\w-]+)?|playwright(?:-[\w-]+)?|@playwright\/.+|selenium-webdriver|jsdom)$/

const KEPT = new WeakMap<FileFacts, boolean>()

/** Runs in a browser, an app, or as an extension of an editor: what goes wrong there costs one person, not a process that others need. */
export function isPage(facts: FileFacts): boolean {
  const kept = KEPT.get(facts) ?? findPage(facts)
  KEPT.set(facts, kept)
  return kept
}

function findPage({ file, language, imports, calls }: FileFacts): boolean {
  if (/\.[jt]sx$/.test(file)) return true
  if (language === 'python') return false
  if (imports.some(({ module }) => OF_PAGES.test(module))) return true
  const isServed = imports.some((each) => !each.isTypeOnly && OF_SERVERS.test(each.module))
  // What drives a browser names the page's things in what it has run there.
  const isDriver = imports.some(({ module }) => DRIVES.test(module))
  if (
    !isDriver &&
    calls.some(
      ({ callee: { root, text } }) => root === 'global' && /^(?:document|window|localStorage)\.|^\$$/.test(text),
    )
  )
    return true
  return FOLDER_OF_PAGES.test(file) && !isServed
}
