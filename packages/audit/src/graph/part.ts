// A part of a system while its graph is made: a component, with what is needed to find out whom it speaks to.

import type { Loc } from '../model/evidence.ts'
import type { Component, SystemLink } from '../model/graph.ts'
import type { Located } from '../repository/configuration.ts'

export interface Wait {
  readonly to: string
  readonly condition: 'service_started' | 'service_healthy' | 'service_completed_successfully'
  readonly loc: Loc
}

export interface Part {
  readonly component: Component
  /** Deployments that are one system have one name for it. */
  readonly system: string
  /** How others speak to it. */
  readonly link: SystemLink['kind']
  /** Names that it is reached by. */
  readonly names: readonly string[]
  readonly ports: readonly string[]
  readonly environment: ReadonlyMap<string, Located<string>>
  readonly waits: readonly Wait[]
  /** Has it a check of health of its own? */
  readonly isChecked: boolean
}
