import { setPreferences } from '../cookies.ts'
import { type Html, html, own, when } from '../html/html.ts'
import { csrfField, type Frame, type Page, THEMES } from '../html/layout.ts'
import type { ConsoleRoutes } from '../routes.ts'
import { pathTo } from './sign-in.ts'

export function registerPreferences(routes: ConsoleRoutes): void {
  routes.page('/preferences', async ({ frame, query }) => preferencesPage(frame, pathTo(query.get('to'))))
  routes.form('/preferences', false, async ({ request, reply, field }) => {
    const theme = THEMES.find((each) => each === field('theme')) ?? 'system'
    const times = field('times') === 'local' ? 'local' : 'utc'
    setPreferences(request, reply, { theme, times, keys: field('keys') !== 'off' })
    return pathTo(field('to'))
  })
}

const CHECKED: Html = html` checked`

/** What a person may choose for this browser. */
const preferencesPage = (frame: Frame, to: string): Page => ({
  section: undefined,
  title: 'Preferences',
  content: html`<div class="head"><div><h1>Preferences</h1><p>They are kept in this browser.</p></div></div>
<form class="card pad stack choose" method="post" action="/console/preferences">
${csrfField(frame)}<input type="hidden" name="to" value="${own(to)}">
${choice(
  'Colours',
  'theme',
  frame.theme,
  THEMES.map((theme) => [theme, theme === 'system' ? 'as the system' : theme]),
)}
${choice('Times', 'times', frame.times, [
  ['utc', 'UTC'],
  ['local', 'of this machine (by a script; plots stay in UTC)'],
])}
${choice('Keys', 'keys', frame.keys ? 'on' : 'off', [
  ['on', 'on: press ? to see them'],
  ['off', 'off'],
])}
<div class="bar"><button class="btn go" type="submit">Keep</button><a class="btn" href="${own(to)}">Back</a></div>
</form>`,
})

const choice = (title: string, name: string, chosen: string, options: readonly (readonly [string, string])[]): Html =>
  html`<fieldset><legend>${own(title)}</legend>${options.map(
    ([value, text]) =>
      html`<label class="radio"><input type="radio" name="${own(name)}" value="${own(value)}"${when(value === chosen, () => CHECKED)}> ${own(text)}</label>`,
  )}</fieldset>`
