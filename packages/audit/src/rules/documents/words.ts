// Variables of the environment that a page gives and that nothing in the repository knows. All words of source and configuration are read once, and only where a
// page asks for something that facts and configuration do not have.
//   DD2. A variable whose name, or whose end in small letters, stands anywhere in source or configuration is silent, and so are those of runtimes and libraries, and
//        what a page sets only to use it itself.
//   QM18. What a page sets to what a command answers is a variable of its shell.

import type { Repository } from '../../repository/repository.ts'
import type { Drift, Page } from './pages.ts'

const FILES_MAX = 3_000
const CHARS_MAX = 25_000_000
/** Read by runtimes, tools and libraries by themselves. */
const FOREIGN =
  /^(NODE_|PYTHON|UV_|PIP_|NPM_|NVM_|YARN_|PNPM_|TZ$|LANG$|LC_|PATH$|HOME$|USER$|SHELL$|PUID$|PGID$|UID$|GID$|DEBUG$|HTTPS?_PROXY$|NO_PROXY$|AWS_|GOOGLE_|GCP_|GCLOUD_|AZURE_|ARM_|OTEL_|DD_|SENTRY_|NEW_RELIC_|JAVA_|JVM_|SPRING_|GO|RUST_|CARGO_|FLASK_|DJANGO_|GUNICORN_|UVICORN_|WEB_CONCURRENCY$|CELERY_|NEXT_|NEXTAUTH_|AUTH_|VITE_|REACT_APP_|EXPO_|PRISMA_|PG[A-Z]+$|POSTGRES_|MYSQL_|MARIADB_|MONGO_|REDIS_|RABBITMQ_|KAFKA_|MINIO_|GF_|CI$|GITHUB_|GITLAB_|DOCKER_|COMPOSE_|BUILDKIT_|KUBE|HELM_|TF_|VAULT_|CONSUL_|OPENAI_|ANTHROPIC_|LANGCHAIN_|HF_|CUDA_|SSH_|GPG_|EDITOR$|ANDROID_|XDG_|LD_|DYLD_|VIRTUAL_ENV|CONDA_|TURBO_|NX_|VERCEL_|NETLIFY_|RAILWAY_|HEROKU_|FLY_)/
const WORDS_OF_SETTINGS =
  /_(URL|URI|HOST|PORT|KEY|SECRET|TOKEN|PASSWORD|USER|TIMEOUT|ENABLED|LEVEL|DSN|PATH|DIR|ORIGINS?|LIMIT|SIZE|MS|SECONDS)$/
const VARIABLE = /^(?:export\s+|set\s+|[-*]\s+)?([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)\s*[=:](?!=)/
const CELL = /^\s*\|\s*`([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)`\s*\|/
const ITEM = /^\s*[-*]\s+`([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)`/
const SETTINGS = new Set(['', 'bash', 'sh', 'shell', 'env', 'dotenv', 'ini', 'properties', 'console', 'zsh'])
interface Asked {
  readonly word: string
  readonly drift: Drift
}

/** Of all pages at once, so that the words of the repository are read once. */
export function driftOfWords(repository: Repository, pages: readonly Page[]): readonly Drift[] {
  const asked = pages.flatMap((page) => [...variablesOf(page)])
  const known = knownNames(repository)
  const open = asked.filter(({ word }) => !known.has(word))
  const words = open.length === 0 ? undefined : wordsFor(repository, open)
  return words === undefined ? [] : open.filter(({ word }) => !words.has(word)).map(({ drift }) => drift)
}

function* variablesOf({ lines }: Page): Iterable<Asked> {
  const seen = new Set<string>()
  const used = new Set<string>()
  for (const { text } of lines) for (const match of text.matchAll(/\$\{?([A-Z][A-Z0-9_]*)/g)) used.add(match[1] ?? '')
  for (const { text, fence, loc, isSettings, isRefused } of lines) {
    const isSetting = isSettings && fence !== undefined && SETTINGS.has(fence)
    const prose = fence === undefined ? (CELL.exec(text)?.[1] ?? ITEM.exec(text)?.[1]) : undefined
    const name = isSetting ? VARIABLE.exec(text.trim())?.[1] : prose
    if (name === undefined || isRefused || /^(?:export\s+)?\w+=["']?(?:\$\(|`)/.test(text.trim())) continue
    if (FOREIGN.test(name) || seen.has(name) || used.has(name)) continue
    seen.add(name)
    // In prose a name in a list may be anything; only words of settings are variables.
    if (isSetting || WORDS_OF_SETTINGS.test(name))
      yield { word: name, drift: { loc, what: `Nothing reads or sets ${name}.` } }
  }
}

/** What facts and configuration have by themselves. */
function knownNames({ facts, configuration }: Repository): ReadonlySet<string> {
  const names = new Set<string>()
  for (const { envReads } of facts.values()) for (const { name } of envReads) names.add(name)
  for (const values of configuration.envFiles.values()) for (const name of values.keys()) names.add(name)
  for (const { services } of configuration.compose)
    for (const { environment } of services.values()) for (const name of environment.keys()) names.add(name)
  return names
}

/** Those of the asked words that stand somewhere; undefined: too much to read. */
function wordsFor({ files }: Repository, asked: readonly Asked[]): ReadonlySet<string> | undefined {
  const wanted = new Map<string, string>()
  for (const { word } of asked) for (const form of formsOf(word)) wanted.set(form, word)
  const paths = files.list().filter((path) => {
    const role = files.role(path)
    return (
      role !== 'document' &&
      role !== 'generated' &&
      role !== 'vendored' &&
      !/lock[\w.-]*$|\.(svg|csv|map|snap)$/.test(path)
    )
  })
  if (paths.length > FILES_MAX) return undefined
  const found = new Set<string>()
  let chars = 0
  for (const path of paths) {
    const text = files.read(path) ?? ''
    chars += text.length
    if (chars > CHARS_MAX) return undefined
    for (const match of text.matchAll(/[A-Za-z_]\w{3,}/g)) {
      const word = wanted.get(match[0])
      if (word !== undefined) found.add(word)
    }
  }
  return found
}

/** A prefix may be put before by a library: what follows it is then a field, in small letters. */
function formsOf(word: string): readonly string[] {
  const parts = word.toLowerCase().split('_')
  const ends = [0, 1, 2].map((from) => parts.slice(from)).filter((each) => each.length > 1)
  return [
    word,
    ...ends.flatMap((each) => [
      each.join('_'),
      each.join('_').toUpperCase(),
      each.map((part, index) => (index === 0 ? part : part.slice(0, 1).toUpperCase() + part.slice(1))).join(''),
    ]),
  ]
}
