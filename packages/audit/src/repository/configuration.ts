// Configuration of an audited repository, as data with the line of every value.

import type { Loc } from '../model/evidence.ts'

/** A value and where it stands. */
export interface Located<T> {
  readonly value: T
  readonly loc: Loc
}

/** A text after interpolation; `raw` as written. Paths are relative to the folder of `loc.file`. */
export interface Written extends Located<string> {
  readonly raw: string
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
  readonly moduleNames: readonly ModuleName[]
}

/** One file, or a file with its override and includes, merged as `docker compose config` would. */
export interface ComposeProject {
  readonly file: string
  /** All that were merged, `file` first. */
  readonly files: readonly string[]
  /** An override stands beside it, and the two are a project of their own: what is absent here may be there. */
  readonly isOverridden: boolean
  readonly services: ReadonlyMap<string, ComposeService>
  readonly volumes: ReadonlySet<string>
  readonly networks: ReadonlySet<string>
  /** Of those, the ones that other projects share. */
  readonly externalNetworks: ReadonlySet<string>
  /** `${X}` without default that the `.env` beside the file does not set. */
  readonly unset: readonly Located<string>[]
  /** Includes and extends that lead nowhere, merges that make no sense. */
  readonly problems: readonly Located<string>[]
}

export interface ComposeService {
  readonly name: string
  readonly loc: Loc
  readonly image: Written | undefined
  readonly build: ComposeBuild | undefined
  readonly command: Written | undefined
  readonly entrypoint: Written | undefined
  readonly dependsOn: ReadonlyMap<
    string,
    Located<'service_started' | 'service_healthy' | 'service_completed_successfully'>
  >
  /** Where `depends_on` was written as a list; undefined: it was not. */
  readonly shortDependsOn: Loc | undefined
  readonly healthcheck: { readonly test: string; readonly isDisabled: boolean; readonly loc: Loc } | undefined
  /** `restart`, or the condition of `deploy.restart_policy`. */
  readonly restart: Located<string> | undefined
  readonly environment: ReadonlyMap<string, Written>
  /** The key `environment`; of the service where it has none. */
  readonly environmentLoc: Loc
  readonly envFiles: readonly Located<string>[]
  readonly ports: readonly ComposePort[]
  readonly volumes: readonly ComposeVolume[]
  readonly profiles: readonly string[]
  readonly networks: readonly string[]
  /** Names that other containers reach it by: its own, container_name, hostname, aliases. */
  readonly names: readonly string[]
  /** Further names that it can reach: links, extra_hosts. */
  readonly reaches: readonly string[]
  readonly replicas: number
  readonly hasLimits: boolean
}

export interface ComposeBuild {
  readonly context: Located<string>
  readonly dockerfile: Located<string> | undefined
  readonly target: string | undefined
  /** What it gives the Dockerfile's own variables. */
  readonly args: ReadonlyMap<string, string>
}

export interface ComposePort extends Located<string> {
  /** Address it is published on; undefined: all of them. */
  readonly host: string | undefined
  /** undefined: chosen by Docker. */
  readonly published: string | undefined
  readonly container: string
}

export interface ComposeVolume extends Located<string> {
  readonly source: string | undefined
  readonly target: string
  readonly isBind: boolean
  readonly isReadOnly: boolean
}

export interface KubernetesObject {
  readonly file: string
  readonly loc: Loc
  readonly apiVersion: string
  readonly kind: string
  readonly name: string
  readonly namespace: string | undefined
  /** Blocks of a template were left out: what is absent here may be there. */
  readonly hidesBlocks: boolean
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
  /** Name in capitals; text with continuations joined; the bodies of heredocs are in the text. */
  readonly instructions: readonly DockerInstruction[]
}

export interface DockerInstruction {
  readonly name: string
  readonly text: string
  readonly loc: Loc
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

/** A name of a module, and where it leads in the repository; at most one `*` in each stands for the same text. */
export interface ModuleName {
  /** Files below this folder use the name. */
  readonly folder: string
  readonly name: string
  /** Paths from the root; the first that exists counts. */
  readonly targets: readonly string[]
  /** Absent: of TypeScript and JavaScript. */
  readonly language?: 'python'
}
