-- KEYS[1] is the key of an entry, ARGV[1] the new value and ARGV[2] its time to
-- live in milliseconds. The script returns 1 if it stored the value and 0 if
-- the current value refuses it.
--
-- A value is a format byte, four bytes of the key id, eight of the version and
-- eight of the time when it was validated, and more. 'buried' is a tombstone.
local current = redis.pcall('GET', KEYS[1])
if type(current) ~= 'string' then
  current = '' -- absent, or of another type, which we did not store
end
local left = redis.call('PTTL', KEYS[1])

if ARGV[1] == 'buried' then
  if current ~= 'buried' or left < tonumber(ARGV[2]) then
    redis.call('SET', KEYS[1], 'buried', 'PX', ARGV[2])
  end
  return 1
end

if current == 'buried' then
  if left < 0 then
    redis.call('PEXPIRE', KEYS[1], ARGV[2]) -- its time to live was removed
  end
  return 0
end
if #current >= 65 and string.byte(current, 1) == 1 and left >= 0 then
  -- Compared by bytes: a number of Lua holds 53 bits only, and < on strings
  -- depends on the locale.
  local newer = false
  for i = 6, 21 do
    local new, old = string.byte(ARGV[1], i), string.byte(current, i)
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
