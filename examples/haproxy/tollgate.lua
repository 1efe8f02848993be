-- Asks Tollgate about each request: `http-request lua.tollgate` (README.md). Whatever goes wrong
-- here refuses the request; the configuration lets nothing pass that this has not admitted.

-- tollgate-validator --http-listen 127.0.0.1:7415
local QUESTION = "http://127.0.0.1:7415/auth/forwarded"
local PATIENCE_MS = 3000

-- Of the client's headers, those that are about its connection or its body, and those that the
-- question sets itself.
local NOT_PASSED_ON = {}
for name in ([[connection content-length expect host keep-alive proxy-connection te trailer
               transfer-encoding upgrade x-forwarded-host x-forwarded-method x-forwarded-uri]]):gmatch("%S+") do
    NOT_PASSED_ON[name] = true
end

-- What is told to the client of an answer, admitted or not.
local TOLD = { "cache-control", "content-type", "retry-after", "sunset", "tollgate-decision",
               "tollgate-token-expires", "www-authenticate" }

-- What of an answer is HTTP's own or the client's. All else is for the service: who speaks, and the
-- headers of credentials, which come empty.
local NOT_FOR_THE_SERVICE = {}
for name in ([[age connection content-encoding content-length content-type date keep-alive server te trailer
               transfer-encoding upgrade vary]]):gmatch("%S+") do
    NOT_FOR_THE_SERVICE[name] = true
end
for _, name in ipairs(TOLD) do NOT_FOR_THE_SERVICE[name] = true end

-- The name as services with CGI's variables read it.
local function folded(name) return (name:lower():gsub("_", "-")) end

local function refuse(txn, status, headers, body)
    local reply = txn:reply({ status = status })
    for _, name in ipairs(TOLD) do
        for _, value in pairs(headers[name] or {}) do reply:add_header(name, value) end
    end
    reply:set_body(body or "")
    txn:done(reply)
end

core.register_action("tollgate", { "http-req" }, function(txn)
    local headers = {
        ["x-forwarded-method"] = { txn.f:method() },
        -- The target as it goes on, a URL among them: what a service reads in it beside the path is judged, too.
        ["x-forwarded-uri"] = { txn.f:url() },
        ["x-forwarded-host"] = { txn.f:req_fhdr("host") },
    }
    for name, values in pairs(txn.http:req_get_headers()) do
        if not NOT_PASSED_ON[name] then
            headers[name] = {}
            for _, value in pairs(values) do table.insert(headers[name], value) end
        end
    end
    local asked, answer = pcall(function()
        return core.httpclient():get({ url = QUESTION, headers = headers, timeout = PATIENCE_MS })
    end)
    if not asked or answer == nil or (answer.status or 0) < 200 then
        return refuse(txn, 503, { ["cache-control"] = { "no-store" }, ["retry-after"] = { "1" } })
    end
    if answer.status ~= 200 then
        return refuse(txn, answer.status, answer.headers, answer.body)
    end
    -- Over what the client sent, however it spelt it; a header that comes empty is taken away.
    local sent = txn.http:req_get_headers()
    for name, values in pairs(answer.headers) do
        if not NOT_FOR_THE_SERVICE[name] then
            for other in pairs(sent) do
                if folded(other) == folded(name) then txn.http:req_del_header(other) end
            end
            for _, value in pairs(values) do
                if value ~= "" then txn.http:req_add_header(name, value) end
            end
        end
    end
    for _, name in ipairs({ "tollgate-decision", "tollgate-token-expires", "sunset" }) do
        local values = answer.headers[name]
        if values then txn:set_var("txn." .. name:gsub("-", "_"), values[0] or values[1]) end
    end
    txn:set_var("txn.tollgate_admitted", true)
end)
