// Mounts whose source is not in the repository: Docker makes an empty folder that belongs to root, and the service finds that instead of its file.
//   RX14. Absolute paths, folders for data, what is ignored on purpose (keys, certificates, .env) and what builds make are silent.

import { nameOf, resolveFrom } from '../../repository/paths.ts'
import { isMade } from './builds.ts'
import { at, type Rule } from './deployment.ts'
import { datastoreOf } from './images.ts'
import { oncePerPlace, seen, servicesOf } from './projects.ts'

const meta = at({
  id: 'compose-bind-missing',
  severity: 'medium',
  title: 'A mount has a source that is not in the repository',
  why: 'Docker makes the missing source: an empty folder that belongs to root. A service that expects a file there fails, or runs without its configuration.',
  remedy: {
    priority: 'P1',
    text: 'Commit the source, or use a named volume; with create_host_path: false it fails aloud.',
    effort: 'XS',
  },
  sources: ['https://docs.docker.com/reference/compose-file/services/#volumes'],
})

const DATA =
  /^\.?(data|db|logs?|tmp|temp|backups?|uploads?|cache|storage|volumes?|state|media|output|outputs|results|reports|artifacts|models?|downloads?|dumps?|snapshots?|certs?|ssl|keys?|secrets?|letsencrypt|certbot|\w+[-_.]data|\w+[-_]logs?|acme\.json|\.?env)$/i

export const composeBindMissing: Rule = {
  meta,
  *run(repository) {
    const found = servicesOf(repository).flatMap(({ service }) =>
      service.volumes.flatMap(({ source, target, isBind, isReadOnly, loc }) => {
        if (!isBind || source === undefined || /^[/~]|\$/.test(source)) return []
        const path = resolveFrom(loc.file, source)
        if (typeof path === 'string' || repository.files.has(path.path)) return []
        if (path.path.split('/').some((segment) => DATA.test(segment)) || isMade(repository, path.path)) return []
        const isFile = /\.\w{1,5}$/.test(nameOf(path.path))
        if (
          !isFile &&
          !isReadOnly &&
          (datastoreOf(service.image?.value ?? '') !== undefined ||
            !/^\/(etc|usr|app|opt|docker-entrypoint)/.test(target))
        )
          return []
        return [
          {
            tier: isFile || isReadOnly ? ('strong' as const) : ('review' as const),
            symbol: `${service.name} ${target}`,
            component: service.name,
            symptom: `${service.name} finds an empty folder at ${target}.`,
            rootCause: `${path.path} does not exist.`,
            evidence: [
              seen(loc, `${path.path} is mounted${isReadOnly ? ' to be read' : ''}, and is not in the repository.`),
            ],
          },
        ]
      }),
    )
    yield* oncePerPlace(found)
  },
}
