// Configuration of an audited repository, as data with the line of every value.

import type { Loc } from '../model/evidence.ts'

/** A value and where it stands. */
export interface Located<T> {
  readonly value: T
  readonly loc: Loc
}

export interface Configuration {
  readonly compose: readonly ComposeProject[]
  readonly kubernetes: readonly KubernetesObject[]
  readonly dockerfiles: readonly Dockerfile[]
  /** .env, .env.example …: name -> value, by file. */
  readonly envFiles: ReadonlyMap<string, ReadonlyMap<string, Located<string>>>
  readonly manifests: readonly Manifest[]
  readonly schemas: readonly DataSchema[]
  readonly openapi: readonly OpenApiDocument[]
}

/** One file, or a file with its override and includes, merged as `docker compose config` would. */
export interface ComposeProject {
  readonly file: string
  readonly services: ReadonlyMap<string, ComposeService>
  readonly volumes: ReadonlySet<string>
  readonly networks: ReadonlySet<string>
  /** `${X}` without default that no env file and no environment sets. */
  readonly unset: readonly Located<string>[]
  /** Includes and extends that lead nowhere, merges that make no sense. */
  readonly problems: readonly Located<string>[]
}

export interface ComposeService {
  readonly name: string
  readonly loc: Loc
  readonly image: Located<string> | undefined
  readonly build: { readonly context: Located<string>; readonly dockerfile: Located<string> | undefined } | undefined
  readonly command: Located<string> | undefined
  readonly dependsOn: ReadonlyMap<
    string,
    Located<'service_started' | 'service_healthy' | 'service_completed_successfully'>
  >
  /** Was `depends_on` written as a list? */
  readonly hasShortDependsOn: boolean
  readonly healthcheck: { readonly test: string; readonly isDisabled: boolean; readonly loc: Loc } | undefined
  readonly restart: Located<string> | undefined
  /** After interpolation; `raw` as written. */
  readonly environment: ReadonlyMap<string, Located<string> & { readonly raw: string }>
  readonly envFiles: readonly Located<string>[]
  readonly ports: readonly (Located<string> & { readonly host: string | undefined; readonly container: string })[]
  readonly volumes: readonly (Located<string> & {
    readonly source: string | undefined
    readonly target: string
    readonly isBind: boolean
  })[]
  readonly profiles: readonly string[]
  readonly replicas: number
  readonly hasLimits: boolean
}

export interface KubernetesObject {
  readonly file: string
  readonly loc: Loc
  readonly apiVersion: string
  readonly kind: string
  readonly name: string
  readonly namespace: string | undefined
  /** The object as parsed; `line(path)` finds where a part of it stands. */
  readonly body: Readonly<Record<string, unknown>>
  readonly line: (path: readonly (string | number)[]) => number
}

export interface Dockerfile {
  readonly file: string
  readonly stages: readonly DockerStage[]
}

export interface DockerStage {
  readonly name: string | undefined
  readonly base: Located<string>
  readonly instructions: readonly { readonly name: string; readonly text: string; readonly loc: Loc }[]
}

/** package.json, requirements.txt, pyproject.toml, with their lockfile. */
export interface Manifest {
  readonly file: string
  readonly language: 'javascript' | 'python'
  readonly dependencies: ReadonlyMap<string, Located<string>>
  readonly lockfile: string | undefined
  readonly scripts: ReadonlyMap<string, Located<string>>
}

/** Tables or collections, and what of them is unique: from SQL, Prisma, SQLAlchemy, Mongoose. */
export interface DataSchema {
  readonly file: string
  readonly table: string
  readonly loc: Loc
  readonly columns: readonly string[]
  /** Sets of columns, primary keys included. */
  readonly unique: readonly (readonly string[])[]
}

export interface OpenApiDocument {
  readonly file: string
  readonly version: string | undefined
  readonly operations: readonly { readonly method: string; readonly path: string; readonly loc: Loc }[]
}
