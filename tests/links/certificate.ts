// A certificate for 127.0.0.1 that nobody but its maker vouches for, made anew by openssl.

import { execFileSync } from 'node:child_process'
import { chmod, readFile } from 'node:fs/promises'
import { join } from 'node:path'

export interface Certificate {
  readonly keyFile: string
  readonly certificateFile: string
  /** For the client to trust. */
  readonly ca: string
}

/** Undefined where there is no openssl on PATH. */
export async function createCertificate(directory: string): Promise<Certificate | undefined> {
  const keyFile = join(directory, 'key.pem')
  const certificateFile = join(directory, 'certificate.pem')
  const how = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
  const whom = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1']
  try {
    execFileSync('openssl', [...how, ...whom, '-keyout', keyFile, '-out', certificateFile], { stdio: 'ignore' })
  } catch {
    process.stderr.write('\n*** openssl is not on PATH: tests of TLS are SKIPPED ***\n')
    return undefined
  }
  await chmod(certificateFile, 0o644)
  return { keyFile, certificateFile, ca: await readFile(certificateFile, 'utf8') }
}
