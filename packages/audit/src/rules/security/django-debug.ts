// Django's debug pages in what is deployed: settings that are switched to it by a literal, in a repository that starts them with a production server.
//   QR15. Found only where the module that lists the installed applications says DEBUG = True once, nothing beside it says anything else of DEBUG or is read behind it,
//        and an image or a service of compose starts a server for WSGI or ASGI.

import type { FileFacts } from '../../facts/facts.ts'
import { folderOf } from '../../repository/paths.ts'
import type { Repository } from '../../repository/repository.ts'
import { instructionsOf } from '../configuration/builds.ts'
import { standingServices } from '../configuration/projects.ts'
import { seenAt } from '../queries.ts'
import type { Discovery } from '../rule.ts'
import { isAside } from './places.ts'

const SERVERS = /\b(?:gunicorn|uwsgi|daphne|hypercorn|granian|uvicorn)\b/
const DEVELOPMENT = /(?:^|[/._-])(?:dev\w*|local|debug|tests?|testing|ci|demo|examples?)(?:[/._-]|$)/i

export function* djangoDebug(repository: Repository): Iterable<Discovery> {
  const settings = [...repository.facts.values()].filter(isSettings)
  if (settings.length === 0 || !isServed(repository)) return
  for (const facts of settings) {
    const [only, ...more] = debugOf(facts)
    if (only === undefined || more.length > 0 || DEVELOPMENT.test(facts.file) || isAside(facts.file)) continue
    if (only.value.kind !== 'boolean' || !only.value.value || only.block !== 0 || isOverridden(repository, facts))
      continue
    yield {
      tier: 'strong',
      symbol: 'DEBUG',
      symptom: 'Whoever causes an error is shown the source around it, the settings and what the request held.',
      rootCause: 'DEBUG is a literal of the settings that a production server starts with.',
      evidence: [seenAt(facts.file, only, 'Debug pages are on wherever this is started.')],
    }
  }
}

function debugOf({ assignments }: FileFacts): FileFacts['assignments'] {
  return assignments.filter(({ target }) => target.text === 'DEBUG')
}

function isSettings({ language, assignments }: FileFacts): boolean {
  return (
    language === 'python' && assignments.some(({ target, block }) => target.text === 'INSTALLED_APPS' && block === 0)
  )
}

/** Settings of another environment stand beside it, or are read behind it. */
function isOverridden({ facts }: Repository, { file, imports }: FileFacts): boolean {
  if (imports.some(({ imported, local }) => imported === '*' && local === '')) return true
  const folder = folderOf(file)
  return [...facts.values()].some(
    (other) =>
      other.file !== file &&
      other.file.endsWith('.py') &&
      (folderOf(other.file) === folder || folderOf(folderOf(other.file)) === folderOf(folder)) &&
      debugOf(other).length > 0,
  )
}

function isServed(repository: Repository): boolean {
  const started = standingServices(repository).map(
    ({ service }) => `${service.entrypoint?.value} ${service.command?.value}`,
  )
  const images = repository.configuration.dockerfiles.flatMap(({ stages }) =>
    instructionsOf(stages)
      .filter(({ name }) => name === 'CMD' || name === 'ENTRYPOINT')
      .map(({ text }) => text),
  )
  return [...started, ...images].some((text) => SERVERS.test(text))
}
