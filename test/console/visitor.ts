import { type IncomingHttpHeaders, request } from 'node:http'

/** An answer of the console. */
export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
}

export interface Asked {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  /** The fields of a form. */
  readonly form?: Readonly<Record<string, string>> | string
}

/** Sends one request, with any headers, also those that `fetch` would not send. */
export function ask(opsUrl: string, path: string, asked: Asked = {}): Promise<Answer> {
  const { form, method = form === undefined ? 'GET' : 'POST', headers = {} } = asked
  const body = typeof form === 'object' ? new URLSearchParams(form).toString() : (form ?? '')
  const formType = form === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' }
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(opsUrl)
    // The path as it is: a URL would be normalized.
    const sent = request(
      { hostname, port, path, method, agent: false, headers: { ...formType, ...headers } },
      (answer) => {
        const chunks: Buffer[] = []
        answer.on('data', (chunk: Buffer) => chunks.push(chunk))
        answer.on('error', reject)
        answer.on('end', () =>
          resolve({ status: answer.statusCode ?? 0, headers: answer.headers, text: Buffer.concat(chunks).toString() }),
        )
      },
    )
    sent.on('error', reject)
    sent.end(body)
  })
}

/** What a browser sends with a form of a page of this site. */
export const OWN_PAGE = { 'sec-fetch-site': 'same-origin' }

/** The value of the hidden field in the forms of a page. */
export const csrfIn = ({ text }: Answer): string => /name="csrf" value="([^"]*)"/.exec(text)?.[1] ?? ''

/** The cookies that an answer sets, as a browser sends them back. */
export const cookieIn = ({ headers }: Answer): string =>
  (headers['set-cookie'] ?? []).map((cookie) => cookie.split(';')[0]).join('; ')

/** Somebody who has signed in, without a browser. */
export interface Visitor {
  readonly cookie: string
  readonly csrf: string
  readonly get: (path: string, headers?: Readonly<Record<string, string>>) => Promise<Answer>
  /** Sends a form as a page of the console does. */
  readonly send: (path: string, fields?: Readonly<Record<string, string>>) => Promise<Answer>
}

export async function signedIn(opsUrl: string, token: string): Promise<Visitor> {
  const cookie = cookieIn(await ask(opsUrl, '/console/sign-in', { form: { token }, headers: OWN_PAGE }))
  const get = (path: string, headers = {}) => ask(opsUrl, path, { headers: { cookie, ...headers } })
  const csrf = csrfIn(await get('/console/preferences'))
  return {
    cookie,
    csrf,
    get,
    send: (path, fields = {}) => ask(opsUrl, path, { form: { csrf, ...fields }, headers: { cookie, ...OWN_PAGE } }),
  }
}
