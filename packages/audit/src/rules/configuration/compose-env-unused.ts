// Variables that compose sets and nothing in the service's source reads: a setting that its operators believe in and that does nothing.
//   RX11. A name that stands anywhere in the source, whatever its case, is used; tools and runtimes that read variables of their own, code that walks over its
//   whole environment, and blocks that another service shares and reads, are silent.

import type { Loc } from '../../model/evidence.ts'
import { folderOf, isBelow } from '../../repository/paths.ts'
import type { Repository } from '../../repository/repository.ts'
import { contextOf, dockerfileOf } from './builds.ts'
import { at, type Discovery, type Rule } from './deployment.ts'
import { oncePerPlace, seen, servicesOf } from './projects.ts'

const meta = at({
  id: 'compose-env-unused',
  category: 'configuration',
  severity: 'low',
  title: 'A variable is set that the service never reads',
  why: 'Whoever reads the compose file believes that the service uses it: a database, a limit, an address. It does not.',
  remedy: { priority: 'P2', text: 'Remove it, or make the service read it.', effort: 'XS' },
  sources: ['https://12factor.net/config'],
})

/** Read by runtimes, libraries and agents, not by name in one's own source. */
const FOREIGN =
  /^(NODE_|PYTHON|UV_|PIP_|NPM_|TZ$|LANG$|LC_|PATH$|HOME$|USER$|PUID$|PGID$|UID$|GID$|TERM$|DEBUG$|HOSTNAME$|HTTPS?_PROXY$|NO_PROXY$|AWS_|GOOGLE_|AZURE_|OTEL_|DD_|SENTRY_|NEW_RELIC_|JAVA_|JVM_|SPRING_|GO|RUST_|RAILS_|RACK_|ASPNETCORE_|DOTNET_|FLASK_|DJANGO_|GUNICORN_|UVICORN_|WEB_CONCURRENCY$|CELERY_|NEXT_|NEXTAUTH_|AUTH_|VITE_|REACT_APP_|CHOKIDAR_|WATCHPACK_|PRISMA_|PG|FORWARDED_ALLOW_IPS$|SSL_CERT|REQUESTS_CA|CI$|PORT$|VIRTUAL_|LETSENCRYPT_|OPENAI_|ANTHROPIC_|LANGCHAIN_|HF_|TRANSFORMERS_|CUDA_|NVIDIA_|OMP_|MALLOC_|DOCKER_|COMPOSE_)/i
/** Hosts of Spring and .NET bind every variable by its own rules of case and separators. */
const WALKS =
  /process\.env\s*[),;}]|process\.env\[\s*[^'"\s\]]|\.\.\.process\.env|\bos\.environ\s*[),;}]|\bos\.environ\.(items|keys|copy)\(|dict\(os\.environ|os\.environ\[\s*[^'"\s\]]|env_nested_delimiter|AutomaticEnv|envconfig|envsubst|os\.Environ\(|getenv\(\s*[a-z_]+\s*\)|import\.meta\.env\s*[),;\]]|org\.springframework\.boot|WebApplication\.Create|AddEnvironmentVariables|Host\.Create(Default|Application)Builder/
const FILES_MAX = 3_000
const CHARS_MAX = 30_000_000

export const composeEnvUnused: Rule = {
  meta,
  *run(repository) {
    const words = new Map<string, ReadonlySet<string> | undefined>()
    const found: Discovery[] = []
    const used = new Set<string>()
    for (const { service } of servicesOf(repository)) {
      const context = contextOf(repository, service.build)
      const isBuilt = context !== undefined && dockerfileOf(repository, service) !== undefined
      if (isBuilt && !words.has(context)) words.set(context, wordsOf(repository, context))
      const known = isBuilt ? words.get(context) : undefined
      const command = `${service.command?.raw ?? ''} ${service.entrypoint?.raw ?? ''} ${service.healthcheck?.test ?? ''}`
      for (const [name, { loc }] of service.environment) {
        if (FOREIGN.test(name)) continue
        if (context === undefined || known === undefined || known.has(name.toLowerCase()) || command.includes(name))
          used.add(placeOf(loc, name))
        else found.push(discovery(service.name, name, loc, context))
      }
    }
    // A block that several services share: one of them reads it.
    yield* oncePerPlace(found.filter(({ evidence, symbol }) => !used.has(placeOf(evidence[0]?.loc, symbol))))
  },
}

function placeOf(loc: Loc | undefined, name: string): string {
  return `${loc?.file}:${loc?.line} ${name}`
}

function discovery(service: string, name: string, loc: Loc, context: string): Discovery {
  return {
    tier: 'strong',
    cause: `unread variables of ${loc.file}`,
    symbol: name,
    component: service,
    symptom: `Setting ${name} changes nothing in ${service}.`,
    rootCause: 'The name is nowhere in the source of the service.',
    evidence: [seen(loc, `${name} is set, and nothing below ${context === '' ? 'the root' : context} names it.`)],
  }
}

/** Of all source and configuration that can be in the image; undefined: it has none, is too large, or reads names that are made at run time. */
function wordsOf({ files, facts }: Repository, context: string): ReadonlySet<string> | undefined {
  const paths = files.list().filter((path) => isBelow(path, context) && isRead(files.role(path), path))
  const sources = paths.filter((path) => files.role(path) === 'source')
  if (sources.length === 0 || paths.length > FILES_MAX) return undefined
  const words = new Set<string>()
  let chars = 0
  for (const path of paths) {
    const text = files.read(path) ?? ''
    chars += text.length
    if (chars > CHARS_MAX || WALKS.test(text)) return undefined
    // Settings with a prefix read names that stand nowhere: what the reader of sources made of them says which.
    if (/\benv_prefix\b/.test(text) && (facts.get(path)?.envReads.length ?? 0) === 0) return undefined
    for (const word of text.match(/[A-Za-z_]\w*/g) ?? []) words.add(word.toLowerCase())
    for (const { name } of facts.get(path)?.envReads ?? []) words.add(name.toLowerCase())
  }
  return words
}

function isRead(role: string | undefined, path: string): boolean {
  if (role === 'document' || role === 'test' || role === 'vendored') return false
  return (
    !/(^|\/)(\.env[\w.-]*|[\w.-]*compose[\w.-]*\.ya?ml|[\w-]*lock[\w-]*\.(json|yaml)|\.github\/.*)$|\.(svg|css|map|csv|snap)$/.test(
      path,
    ) && folderOf(path) !== '.git'
  )
}
