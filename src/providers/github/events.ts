/**
 * GitHub signs the body, but names the event in a header that it does not sign. For each event: the keys that its body always
 * has, and (`may`) other keys of this table that its body may have. Events that are not listed are not checked. Source:
 * docs.github.com, "Webhook events and payloads"; @octokit/webhooks-examples 7.
 */
const EVENTS = new Map<string, { readonly has: readonly string[]; readonly may?: readonly string[] }>([
  ['branch_protection_rule', { has: ['rule'] }],
  ['check_run', { has: ['check_run'] }],
  ['check_suite', { has: ['check_suite'] }],
  ['code_scanning_alert', { has: ['alert'], may: ['ref'] }],
  ['commit_comment', { has: ['comment'] }],
  ['create', { has: ['ref', 'ref_type', 'master_branch'] }],
  ['delete', { has: ['ref', 'ref_type'] }],
  ['dependabot_alert', { has: ['alert'] }],
  ['deploy_key', { has: ['key'] }],
  ['deployment', { has: ['deployment'], may: ['workflow', 'workflow_run'] }],
  ['deployment_status', { has: ['deployment_status', 'deployment'], may: ['check_run', 'workflow', 'workflow_run'] }],
  ['deployment_review', { has: ['workflow_run', 'since'], may: ['comment'] }],
  ['discussion', { has: ['discussion'], may: ['label'] }],
  ['discussion_comment', { has: ['discussion', 'comment'] }],
  ['fork', { has: ['forkee'] }],
  ['github_app_authorization', { has: [] }],
  ['gollum', { has: ['pages'] }],
  ['installation', { has: ['installation'] }],
  ['installation_repositories', { has: ['installation', 'repositories_added', 'repositories_removed'] }],
  ['issue_comment', { has: ['issue', 'comment'] }],
  ['issues', { has: ['issue'], may: ['label', 'milestone'] }],
  ['label', { has: ['label'] }],
  ['marketplace_purchase', { has: ['marketplace_purchase'] }],
  ['member', { has: ['member'] }],
  ['membership', { has: ['member', 'team'] }],
  ['merge_group', { has: ['merge_group'] }],
  ['meta', { has: ['hook'] }],
  ['milestone', { has: ['milestone'] }],
  ['org_block', { has: ['blocked_user'] }],
  ['organization', { has: ['organization'] }],
  ['package', { has: ['package'] }],
  ['page_build', { has: ['build'] }],
  ['ping', { has: ['zen'], may: ['hook'] }],
  ['project', { has: ['project'] }],
  ['project_card', { has: ['project_card'] }],
  ['project_column', { has: ['project_column'] }],
  ['projects_v2_item', { has: ['projects_v2_item'] }],
  ['public', { has: ['repository'] }],
  ['pull_request', { has: ['pull_request'], may: ['label', 'milestone'] }],
  ['pull_request_review', { has: ['pull_request', 'review'] }],
  ['pull_request_review_comment', { has: ['pull_request', 'comment'] }],
  ['pull_request_review_thread', { has: ['pull_request', 'thread'] }],
  ['push', { has: ['ref', 'before', 'after', 'commits'] }],
  ['release', { has: ['release'] }],
  ['repository', { has: ['repository'] }],
  ['repository_import', { has: ['status'] }],
  ['repository_vulnerability_alert', { has: ['alert'] }],
  ['repository_dispatch', { has: ['client_payload'] }],
  ['security_advisory', { has: ['security_advisory'] }],
  ['sponsorship', { has: ['sponsorship'] }],
  ['star', { has: ['starred_at'] }],
  ['status', { has: ['sha', 'state', 'context'] }],
  ['team', { has: ['team'] }],
  ['team_add', { has: ['team'] }],
  ['watch', { has: ['repository'] }],
  ['workflow_dispatch', { has: ['inputs', 'workflow'], may: ['ref'] }],
  ['workflow_job', { has: ['workflow_job'], may: ['deployment'] }],
  ['workflow_run', { has: ['workflow_run'], may: ['workflow'] }],
])

/** The keys that the body of an event always has; empty for an unknown event. */
export const githubKeys = (name: string): readonly string[] => EVENTS.get(name)?.has ?? []

/** Keys that the bodies of most events have. */
const ANYWHERE = new Set(['repository', 'organization', 'installation'])

/**
 * Why the body cannot belong to the named event: it lacks a key that every body of that event has, or it has all keys of another
 * event, one of which no body of the named event has. Undefined: by its keys, the body can belong to the event.
 */
export function githubMismatch(name: string, body: unknown): string | undefined {
  const event = EVENTS.get(name)
  if (event === undefined || typeof body !== 'object' || body === null) return undefined
  const missing = event.has.find((key) => !Object.hasOwn(body, key))
  if (missing !== undefined) return `it is sent as ${name}, but its body has no ${missing}, as every ${name} has`
  const known = new Set([...event.has, ...(event.may ?? []), ...ANYWHERE])
  for (const { has } of EVENTS.values()) {
    const foreign = has.find((key) => !known.has(key))
    if (foreign !== undefined && has.every((key) => Object.hasOwn(body, key)))
      return `it is sent as ${name}, but its body has ${foreign}, which no ${name} has`
  }
  return undefined
}
