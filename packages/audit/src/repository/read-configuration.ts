// Everything that a repository's configuration says, read once.

import type { FileFacts } from '../facts/facts.ts'
import { attempt, type Tell } from '../readers/attempt.ts'
import { readComposeProjects } from '../readers/compose/read.ts'
import { readDockerfiles } from '../readers/dockerfile.ts'
import { readDotenv } from '../readers/dotenv.ts'
import { readKubernetes } from '../readers/kubernetes.ts'
import { readManifests } from '../readers/manifests.ts'
import { readModuleNames } from '../readers/module-names.ts'
import { readOpenApi } from '../readers/openapi.ts'
import { readPythonNames } from '../readers/python-names.ts'
import { readSchemas } from '../readers/schemas.ts'
import type { Configuration, Located } from './configuration.ts'
import { nameOf } from './paths.ts'
import type { FileIndex } from './repository.ts'

const ENV_FILES_MAX = 500

export interface ReadingConfiguration {
  readonly tell?: Tell
  /** Put around every reader; `nothing`: what there is where it throws. */
  readonly run?: <T>(reader: string, read: () => T, nothing: T) => T
  /** Of the sources: those that say nothing of a schema need not be read again. */
  readonly facts?: ReadonlyMap<string, FileFacts>
}

/** Never throws for what a file says: what is broken in it is left out, and told. */
export function readConfiguration(
  files: FileIndex,
  { tell = () => {}, run = (_reader, read) => read(), facts }: ReadingConfiguration = {},
): Configuration {
  return {
    compose: run('compose', () => readComposeProjects(files, tell), []),
    kubernetes: run('Kubernetes', () => readKubernetes(files, tell), []),
    dockerfiles: run('Dockerfile', () => readDockerfiles(files, tell), []),
    envFiles: run('environment files', () => readEnvFiles(files, tell), new Map()),
    manifests: run('manifests', () => readManifests(files, tell), []),
    schemas: run('schemas', () => readSchemas(files, tell, facts), []),
    openapi: run('OpenAPI', () => readOpenApi(files, tell), []),
    moduleNames: run('module names', () => [...readModuleNames(files, tell), ...readPythonNames(files)], []),
  }
}

function readEnvFiles(files: FileIndex, tell: Tell): ReadonlyMap<string, ReadonlyMap<string, Located<string>>> {
  const paths = files.list().filter((file) => /^\.env(\.[\w.-]+)?$|^[\w.-]+\.env$/.test(nameOf(file)))
  const found = new Map<string, ReadonlyMap<string, Located<string>>>()
  for (const file of paths.slice(0, ENV_FILES_MAX)) {
    const text = files.read(file)
    const read = text === undefined ? undefined : attempt(file, tell, () => readDotenv(file, text))
    if (read !== undefined) found.set(file, read)
  }
  return found
}
