// `npm ci` and `pnpm install --frozen-lockfile` without a lockfile: the image can't be built.
//   QM2. A wildcard that fits no lockfile brings none.
//   RX13. A lockfile in any folder that it may be built in, copied or mounted before, is silent; so is one that the build fetches or makes.

import type { Dockerfile, DockerStage } from '../../repository/configuration.ts'
import { folderOf, join, nameOf } from '../../repository/paths.ts'
import type { Repository } from '../../repository/repository.ts'
import { contextsOf, imageStages, isInContext, parseCopy } from './builds.ts'
import { at, type Discovery, type Rule } from './deployment.ts'
import { seen } from './projects.ts'

const meta = at({
  id: 'dockerfile-npm-ci-no-lockfile',
  severity: 'high',
  title: 'A build installs from a lockfile that is not there',
  why: 'npm ci refuses to run without one: the image cannot be built from a clone.',
  remedy: { priority: 'P0', text: 'Commit the lockfile and copy it before the install.', effort: 'XS' },
  sources: ['https://github.com/npm/cli/blob/latest/docs/lib/content/commands/npm-ci.md'],
})

const INSTALLS: readonly (readonly [RegExp, string, readonly string[]])[] = [
  [/\bnpm\s+(ci|clean-install)\b/, 'npm ci', ['package-lock.json', 'npm-shrinkwrap.json']],
  [/\bpnpm\s+(i|install)\b[^&|;]{0,300}--frozen-lockfile/, 'pnpm install --frozen-lockfile', ['pnpm-lock.yaml']],
]

export const dockerfileNpmCiNoLockfile: Rule = {
  meta,
  *run(repository) {
    for (const dockerfile of repository.configuration.dockerfiles) {
      const role = repository.files.role(dockerfile.file)
      if (role !== 'test' && role !== 'example') yield* check(repository, dockerfile)
    }
  },
}

function* check(repository: Repository, dockerfile: Dockerfile): Generator<Discovery> {
  const { folders } = contextsOf(repository, dockerfile)
  for (const stage of dockerfile.stages) {
    for (const { name, text, loc } of stage.instructions) {
      const install = name === 'RUN' ? INSTALLS.find(([pattern]) => pattern.test(text)) : undefined
      if (install === undefined || /npm (i|install)\s+--package-lock-only|\|\||\bif\s/.test(text)) continue
      const [, command, locks] = install
      const isThere = folders.some((folder) => hasLock(repository, folder, locks))
      if (isThere && bringsLock(repository, folders, dockerfile, stage, locks)) continue
      const what = isThere ? 'no COPY before brings the lockfile' : 'no lockfile is in the build context'
      yield {
        tier: 'strong',
        cause: isThere
          ? `lockfiles that are not copied, ${dockerfile.file}`
          : `lockfiles that are not committed, ${command}`,
        symbol: dockerfile.file,
        symptom: 'The image cannot be built.',
        rootCause: `${command} needs ${locks.join(' or ')}.`,
        evidence: [seen(loc, `It runs ${command}, and ${what}.`)],
      }
    }
  }
}

function hasLock({ files }: Repository, folder: string, locks: readonly string[]): boolean {
  if (locks.some((name) => files.has(join(folder, name)))) return true
  // Packages below bring their own, wherever the build changes into.
  const suffixes = locks.map((name) => `/${name}`)
  return files
    .list()
    .some(
      (file) => file.startsWith(folder === '' ? '' : `${folder}/`) && suffixes.some((suffix) => file.endsWith(suffix)),
    )
}

function bringsLock(
  repository: Repository,
  folders: readonly string[],
  dockerfile: Dockerfile,
  stage: DockerStage,
  locks: readonly string[],
): boolean {
  const stages = imageStages(
    { ...dockerfile, stages: dockerfile.stages.slice(0, dockerfile.stages.indexOf(stage) + 1) },
    undefined,
  )
  return (
    stages.some(({ instructions }) =>
      instructions.some((instruction) => {
        if (instruction.name === 'ONBUILD' || instruction.text.includes('--mount')) return true
        const copy = parseCopy(instruction)
        if (copy === undefined)
          return (instruction.name === 'COPY' || instruction.name === 'ADD') && instruction.text.includes('<<')
        if (copy.from !== undefined) return true
        return copy.sources.some((source) => {
          const clean = source.replace(/\/+$/, '')
          if (clean.includes('$')) return true
          if (locks.some((name) => covers(nameOf(clean), name)))
            return !nameOf(clean).includes('*') || matchesLock(repository, folders, folderOf(clean), locks)
          return (
            !/[*?[]/.test(clean) &&
            folders.some((folder) => isFolder(repository, join(folder, clean.replace(/^\.?\/?/, ''))))
          )
        })
      }),
    ) &&
    folders.some(
      (folder) => locks.some((name) => isInContext(repository, folder, name)) || hasLock(repository, folder, locks),
    )
  )
}

/** A wildcard that no lockfile fits brings none, and COPY says nothing. */
function matchesLock(
  { files }: Repository,
  folders: readonly string[],
  below: string,
  locks: readonly string[],
): boolean {
  const inside = below.replace(/^\.?\/*/, '')
  return (
    /[*?[]/.test(inside) ||
    folders.some((folder) => locks.some((name) => files.has([folder, inside, name].filter(Boolean).join('/'))))
  )
}

function covers(pattern: string, name: string): boolean {
  if (pattern === name) return true
  const [before = '', ...after] = pattern.split('*')
  return after.length > 0 && name.startsWith(before) && name.endsWith(after.at(-1) ?? '')
}

function isFolder({ files }: Repository, path: string): boolean {
  const clean = path.replace(/\/+$/, '')
  return clean === '' || (files.has(clean) && files.role(clean) === undefined)
}
