// Rules over what a repository's configuration says, alone and against its source, in the order in which reports list them.

import type { Rule } from '../rule.ts'
import { composeBindMissing } from './compose-bind-missing.ts'
import { composeBuildContextMissing } from './compose-build-context-missing.ts'
import { composeDbPortExposed } from './compose-db-port-exposed.ts'
import { composeDefaultSecret } from './compose-default-secret.ts'
import { composeDependsNoHealth, composeDependsStarted } from './compose-depends-no-health.ts'
import { composeEnvMissing } from './compose-env-missing.ts'
import { composeEnvUnset } from './compose-env-unset.ts'
import { composeEnvUnused } from './compose-env-unused.ts'
import { composeHealthcheckBinaryMissing } from './compose-healthcheck-binary-missing.ts'
import { composeLatestTag } from './compose-latest-tag.ts'
import { composeNoHealthcheck } from './compose-no-healthcheck.ts'
import { composeNoRestart } from './compose-no-restart.ts'
import { composeNoVolume } from './compose-no-volume.ts'
import { composeRequiredVarUnset } from './compose-required-var-unset.ts'
import { composeUndefinedServiceRef } from './compose-undefined-service-ref.ts'
import { dockerContextMissingModule } from './docker-context-missing-module.ts'
import { dockerfileCopyMissingSource } from './dockerfile-copy-missing-source.ts'
import { dockerfileNpmCiNoLockfile } from './dockerfile-npm-ci-no-lockfile.ts'
import { kubernetesMissingLimits, kubernetesMissingProbes, kubernetesSingleReplica } from './kubernetes.ts'
import { kubernetesEnvUnset } from './kubernetes-env-unset.ts'
import { kubernetesKeyMissing } from './kubernetes-key-missing.ts'
import { pathMismatch } from './path-mismatch.ts'
import { proxyPathLost } from './proxy-path-lost.ts'
import { redisEvictionOnPrimary } from './redis-eviction-on-primary.ts'

export const configurationRules: readonly Rule[] = [
  composeBuildContextMissing,
  dockerfileNpmCiNoLockfile,
  dockerfileCopyMissingSource,
  dockerContextMissingModule,
  pathMismatch,
  composeHealthcheckBinaryMissing,
  composeUndefinedServiceRef,
  composeEnvMissing,
  composeEnvUnset,
  proxyPathLost,
  composeRequiredVarUnset,
  composeDefaultSecret,
  composeDbPortExposed,
  redisEvictionOnPrimary,
  composeDependsNoHealth,
  composeNoVolume,
  composeNoHealthcheck,
  composeNoRestart,
  composeBindMissing,
  composeLatestTag,
  composeDependsStarted,
  composeEnvUnused,
  kubernetesKeyMissing,
  kubernetesEnvUnset,
  kubernetesSingleReplica,
  kubernetesMissingProbes,
  kubernetesMissingLimits,
]
