-- KEYS[1] is where the entry is kept, ARGV[1] the new value, ARGV[2] its time to live in milliseconds.
-- A value begins with a format byte and four bytes that name its key; the eight after them are the version, the next eight
-- when it was read. 'buried' is a tombstone.
-- Answers 1 when the value was stored, 0 when what stands there refuses it.
local stands = redis.pcall('GET', KEYS[1])
if type(stands) ~= 'string' then
  stands = '' -- nothing, or another type, which is not ours
end
local left = redis.call('PTTL', KEYS[1])

if ARGV[1] == 'buried' then
  if stands ~= 'buried' or left < tonumber(ARGV[2]) then
    redis.call('SET', KEYS[1], 'buried', 'PX', ARGV[2])
  end
  return 1
end

if stands == 'buried' then
  if left < 0 then
    redis.call('PEXPIRE', KEYS[1], ARGV[2]) -- somebody took its time to live away
  end
  return 0
end
if #stands >= 65 and string.byte(stands, 1) == 1 and left >= 0 then
  -- What was read later takes the place of the same version, or what is stale would keep it out.
  -- Byte by byte: a number of Lua holds 53 bits of a version, and < on strings goes by the locale.
  local newer = false
  for i = 6, 21 do
    local new, old = string.byte(ARGV[1], i), string.byte(stands, i)
    if new ~= old then
      newer = new > old
      break
    end
  end
  if not newer then
    return 0
  end
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
