// Everything that a repository's configuration says, read once.

import { readComposeProjects } from '../readers/compose/read.ts'
import { readDockerfiles } from '../readers/dockerfile.ts'
import { readDotenv } from '../readers/dotenv.ts'
import { readKubernetes } from '../readers/kubernetes.ts'
import { readManifests } from '../readers/manifests.ts'
import { readOpenApi } from '../readers/openapi.ts'
import { readSchemas } from '../readers/schemas.ts'
import type { Configuration, Located } from './configuration.ts'
import { nameOf } from './paths.ts'
import type { FileIndex } from './repository.ts'

const ENV_FILES_MAX = 500

/** Never throws for what a file says: what is broken in it is left out, and said in `problems` of its project. */
export function readConfiguration(files: FileIndex): Configuration {
  return {
    compose: readComposeProjects(files),
    kubernetes: readKubernetes(files),
    dockerfiles: readDockerfiles(files),
    envFiles: readEnvFiles(files),
    manifests: readManifests(files),
    schemas: readSchemas(files),
    openapi: readOpenApi(files),
  }
}

function readEnvFiles(files: FileIndex): ReadonlyMap<string, ReadonlyMap<string, Located<string>>> {
  const paths = files.list().filter((file) => /^\.env(\.[\w.-]+)?$|^[\w.-]+\.env$/.test(nameOf(file)))
  const found = new Map<string, ReadonlyMap<string, Located<string>>>()
  for (const file of paths.slice(0, ENV_FILES_MAX)) {
    const text = files.read(file)
    if (text !== undefined) found.set(file, readDotenv(file, text))
  }
  return found
}
