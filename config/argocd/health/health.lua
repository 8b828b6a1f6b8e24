-- The health of a BrandConnector or a ConnectorClass. Both follow kstatus, and Flux and
-- Helm come to the same answer; what they call Current is Suspended here while it is.
local status = obj.status or {}
if status.observedGeneration ~= obj.metadata.generation then
  return {status = "Progressing", message = "the operator has not looked at this generation yet"}
end

local conditions = {}
for _, condition in ipairs(status.conditions or {}) do
  conditions[condition.type] = condition
end

local function holds(kind)
  return conditions[kind] ~= nil and conditions[kind].status == "True"
end

local function health(name, kind)
  local message = ""
  if conditions[kind] ~= nil then
    message = (conditions[kind].reason or "") .. ": " .. (conditions[kind].message or "")
  end
  return {status = name, message = message}
end

if holds("Stalled") then
  return health("Degraded", "Stalled")
end
if holds("Reconciling") then
  return health("Progressing", "Reconciling")
end
if not holds("Ready") then
  return health("Progressing", "Ready")
end
if holds("Suspended") then
  return health("Suspended", "Suspended")
end

-- A brand that serves is healthy, also while a change of the platform waits for its turn.
local answer = health("Healthy", "Ready")
if conditions.UpToDate ~= nil and not holds("UpToDate") then
  answer.message = answer.message .. "; " .. health("", "UpToDate").message
end
return answer
