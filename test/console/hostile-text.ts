/** Texts that run, lead elsewhere or hide, if a page takes them for more than text. `hit` is a function that the test puts into pages. */
export const HOSTILE = [
  '<script>hit("script")</script>',
  '"><img src=x onerror=hit("img")>',
  "'><svg onload=hit('svg')>",
  '" autofocus onfocus="hit(1)" onmouseover="hit(2)" style="position:fixed" x="',
  'javascript:hit("url")',
  '</title></textarea></style></script></pre><script>hit("end")</script>',
  '<b hx-get="/console/audit" hx-trigger="load" data-hx-get="/console/audit" data-hx-trigger="load" hx-on:load="hit(3)">',
  '<form action="//evil.example"><button data-key="r">',
  '<meta http-equiv="refresh" content="0;url=//evil.example"><base href="//evil.example/">',
  '<iframe srcdoc="<script>parent.hit(4)</script>"></iframe><link rel="stylesheet" href="//evil.example">',
  `{{7*7}} \${7*7} <%= 7 %> &lt;b&gt; <!-- --> ]]>`,
] as const

/** What cannot be seen: escape sequences, NUL, marks of direction, characters without width, half a character. */
export const UNSEEN =
  '\u001b[31mred\u001b]8;;//evil.example\u0007 \0 \u202egnp.exe\u202c\u2066\u200f \u200b\ufeff\u009b1m \ud800!'

/** All of them, with another one first for each number: pages cut long texts. */
export const hostile = (first: number): string => {
  const all = [UNSEEN, ...HOSTILE]
  return [...all.slice(first % all.length), ...all.slice(0, first % all.length)].join(' ')
}

export const ALL_HOSTILE = hostile(0)

/** A name that a handler may have, and a provider may give to a task. */
export const HOSTILE_NAME = `${HOSTILE[1]}${HOSTILE[0]}${HOSTILE[3]}`
