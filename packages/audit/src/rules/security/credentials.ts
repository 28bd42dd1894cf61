// What is a credential, by its name and by its look; and in which words nobody would keep one.

const SECRET =
  /(PASSWORD|PASSWD|SECRET|TOKEN|API_?KEY|PRIVATE_?KEY|ENCRYPTION_?KEY|CIPHER(_IV)?_?KEY|MASTER_?KEY|HMAC_?KEY|SIGNING_?KEY|ACCESS_?KEY|(^|_)(PASS|PWD|SALT))$|(SECRET|PASSWORD)_?(KEY|BASE)|SECRET_KEY_BASE/i
const NOT_SECRET =
  /(^|_)(HAS|IS|NO|NEEDS?|SHOULD|MISSING|INVALID|MIN|MAX|LENGTH|ROUNDS|EXPIR\w*|TTL|ALGORITHM|ENABLED?|FILE|PATH|URL|URI|HOST|PORT|NAME|ID|HEADER|ISSUER|POLICY|REQUIRE\w*|ALLOW_EMPTY\w*|USE|TYPE|DAYS|HOURS|MINUTES|SECONDS|LIMIT|COUNT|PUBLIC|PUBLISHABLE|ANON|SITE|PREFIX|FIELD|LABEL|PLACEHOLDER|MESSAGE|ERROR|PAD|BOS|EOS|UNK|MASK|SEP|CLS|NEXT_PAGE|PAGE|INJECT\w*|PARAM|REGEX|PATTERN|STORAGE|COOKIE|HINT|ALIAS)(_|$)/i

/** Of a page or a request, unless it is what they are signed with. */
const OF_FLOW = /(^|_)(CSRF|RESET|FORGOT|CHANGE|CONFIRM\w*|CANCEL\w*)(_|$)/i

/** `jwtSecret`, `JWT_SECRET`, `jwt-secret`; not what only speaks of one (its length, its lifetime, the page to change it). */
export function isSecretName(name: string): boolean {
  const words = name.replace(/([a-z0-9])([A-Z])/g, '$1_$2').replace(/[-.\s]/g, '_')
  return SECRET.test(words) && !NOT_SECRET.test(words) && (/_SECRET(_KEY)?$/i.test(words) || !OF_FLOW.test(words))
}

const SWITCH = /^(true|false|yes|no|none|null|undefined|\d{1,3}|\d+[smhd])$/i

/** Something that is used as a credential when nothing else is there, however poor. */
export function isCredential(text: string): boolean {
  return text.length > 1 && !SWITCH.test(text) && !/^[./]/.test(text) && !/^https?:\/\/[^@]*$/.test(text)
}

const OF_OTHERS = /(API_?KEY|ACCESS_?TOKEN|AUTH_?TOKEN)$/i
const NO_KEY =
  /^(none|null|empty|local|locally|ollama|lm-?studio|vllm|n\/?a|x+|key|api-?key|not[-_ ]?(needed|used|required|set)|unused|no[-_]?(key|token|auth)|sk-(no-key-required|fake|test|local|x+|dummy))$/i

/** The key of somebody else's API, with a word in its place: without a real one it is refused, and where no key is asked for any word will do. */
export function isNoKey(name: string, text: string): boolean {
  const words = name.replace(/([a-z0-9])([A-Z])/g, '$1_$2').replace(/[-.\s]/g, '_')
  return OF_OTHERS.test(words) && (isPlaceholder(text) || NO_KEY.test(text))
}

/** Stands where the real one has to be put in. */
const PLACEHOLDER =
  /^$|\s|^[<[{(%$*#]|[>}\])%]$|\.{3}|x{4,}|\*{3,}|(^|[-_])(your|my|insert|replace|enter|put|example|sample|dummy|fake|mock|placeholder|redacted|todo|tbd|foo|bar|test(ing)?)([-_]|$)|^(your|example|dummy|fake|mock)/i

export function isPlaceholder(text: string): boolean {
  return PLACEHOLDER.test(text)
}

const WEAK =
  /^(admin|root|postgres|guest|secret|password|passwd|passw0rd|changeme|change[-_]?this|change[-_]?me|letmein|default|minioadmin|rabbitmq|mysql|mongo|redis|supersecret|super[-_]secret|s3cr3t|qwerty|1234\d*|admin\d+|secret\d*|root\d*|password\d*)$/i
/** Words of a program: names, routes, keys of texts, headers, kinds. */
const WORD =
  /^[a-z]+([-_.:][a-z]+)*$|^[a-z]+([A-Z][a-z]+)+$|^[A-Z][A-Z0-9]*([_.][A-Z0-9]+)*$|^([A-Z][a-z]+)+$|^[/@#?&]|[/:?]{1}[a-z]+$|^[\w-]+\.(js|ts|py|json|pem|key|txt|com|org|io)$|\\|\[[a-zA-Z0]/

/** A literal that looks as if somebody had made it up as a credential. */
export function looksMadeUp(text: string): boolean {
  if (text.length < 6 || isPlaceholder(text) || SWITCH.test(text)) return false
  if (WEAK.test(text)) return true
  return /\d/.test(text) && /[a-z]/i.test(text) && !WORD.test(text) && !/^\d+(\.\d+)+|^v?\d+$/.test(text)
}

/** Of issuers whose tokens are known by their beginning. */
const ISSUED =
  /\b(AKIA[0-9A-Z]{16}|ASIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{60,}|sk_live_[A-Za-z0-9]{20,}|rk_live_[A-Za-z0-9]{20,}|xox[baprs]-[0-9]{8,}-[A-Za-z0-9-]{10,}|AIza[0-9A-Za-z_-]{35}|SG\.[\w-]{22}\.[\w-]{43}|sk-ant-[\w-]{20,}|sk-proj-[\w-]{20,}|npm_[A-Za-z0-9]{36}|glpat-[\w-]{20})\b|-----BEGIN (RSA |EC |OPENSSH |DSA )?PRIVATE KEY-----\s*[A-Za-z0-9+/]{20}/

export function isIssued(text: string): boolean {
  const found = ISSUED.exec(text)?.[0]
  // Documentation of issuers shows such ones.
  if (found !== undefined) return !/EXAMPLE|(.)\1{7}|1234567890|abcdefgh/i.test(found)
  return isSigned(text)
}

const SIGNED = /\beyJ[\w-]{10,}\.(eyJ[\w-]{10,})(?:\.[\w-]{20,}|$)/
/** What it is given to may be anybody, or it was made to be shown. */
const FOR_ALL = /"(?:role|scope)"\s*:\s*"(?:anon|public|guest)"|demo|example|sample|test|John Doe/i

/** QL6. A token with its signature, unless it says itself that it is for everybody. Texts of facts are cut, so that the signature may be missing. */
function isSigned(text: string): boolean {
  const claims = SIGNED.exec(text)?.[1]
  return claims !== undefined && !FOR_ALL.test(Buffer.from(claims, 'base64url').toString('utf8'))
}

const ACCOUNT = /^[a-z][a-z0-9+.-]*:\/\/[^\s/:@]*:([^\s@]+)@([^\s/:?]+)/i

/** The password of a URL and the host that it is for. */
export function accountOf(text: string): { readonly password: string; readonly host: string } | undefined {
  const [, password, host] = ACCOUNT.exec(text) ?? []
  return password === undefined || host === undefined ? undefined : { password, host }
}
