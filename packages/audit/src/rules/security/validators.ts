// What looks at input in a component: a library for it, or functions of its own that are named for it. One such thing anywhere is enough to say nothing of the
// whole component: where it stands before a route, and what it lets through, is not followed.

import type { FileFacts } from '../../facts/facts.ts'
import { folderOf, isBelow } from '../../repository/paths.ts'
import type { Repository } from '../../repository/repository.ts'
import { lastName } from '../queries.ts'

const LIBRARIES =
  /^(?:zod(?:-.*)?|joi|@hapi\/joi|yup|ajv(?:-.*)?|class-validator|express-validator|celebrate|valibot|@sinclair\/typebox|typebox|arktype|io-ts|runtypes|superstruct|@effect\/schema|effect|fastest-validator|validator|validatorjs|vine|@vinejs\/vine|indicative|jsonschema|is-my-json-valid|express-openapi-validator|express-json-validator-middleware|openapi-backend|tsoa|@trpc\/server|@apollo\/server|graphql|koa-(?:joi.*|validate|parameter|body-validator)|fastify|@nestjs\/swagger|elysia|@hono\/.*validator|typia|decoders|tcomb|node-input-validator|simple-body-validator|is_js|mongo-sanitize|express-mongo-sanitize|pydantic(?:_.*)?|marshmallow(?:_.*)?|flask_marshmallow|flask_smorest|flask_wtf|wtforms|flask_restx|flask_restful|flask_pydantic|flask_inputs|webargs|cerberus|voluptuous|schema|schematics|colander|msgspec|cattrs|attrs?|rest_framework|ninja|connexion|apiflask|sqlmodel|beanie|trafaret|fastjsonschema|strawberry|graphene|jsonschema_rs)(?:[./]|$)/
const NAMED =
  /validat|sanitiz|safe_?parse|parse_?(?:body|input|payload|request|dto)|^(?:assert|check)_?(?:body|input|payload|required|fields)|^(?:pick|whitelist|allowlist|only)$/i
/** What is looked at there is something else than what people send. */
const OTHER =
  /invalidat|object_?id|token|session|signature|api_?key|hmac|license|certificate|credentials|auth|password|chain|code$|otp/i

/** Folder of the manifest that a file stands under; '' for those of the root. */
export function folderOfComponent({ configuration }: Repository, { file, language }: FileFacts): string {
  const family = language === 'python' ? 'python' : 'javascript'
  let found = ''
  for (const manifest of configuration.manifests) {
    const folder = folderOf(manifest.file)
    if (manifest.language === family && folder.length > found.length && isBelow(file, folder)) found = folder
  }
  return found
}

/** Whether something of the file looks at input, or could. */
export function validates({ imports, calls, blocks, classes }: FileFacts): boolean {
  return (
    imports.some(({ module }) => LIBRARIES.test(module)) ||
    calls.some(({ callee }) => isNamedForIt(lastName(callee))) ||
    blocks.some(({ kind, name }) => kind === 'function' && isNamedForIt(name)) ||
    classes.some(
      ({ name, bases }) => /validat|serializer$/i.test(name) || bases.some((base) => /Form$|Serializer$/.test(base)),
    )
  )
}

function isNamedForIt(name: string): boolean {
  return NAMED.test(name) && !OTHER.test(name)
}
