# Independent of the Go code: HKDF by hand (RFC 5869), HMAC and base64 from Python's library.
import hmac,hashlib,base64,struct,json
def hkdf(secret,info,n):
    prk=hmac.new(b"\0"*32,secret,hashlib.sha256).digest()
    out=b"";t=b"";i=1
    while len(out)<n:
        t=hmac.new(prk,t+info+bytes([i]),hashlib.sha256).digest();out+=t;i+=1
    return out[:n]
b64=lambda b:base64.urlsafe_b64encode(b).rstrip(b"=").decode()
P=b"pgsession cookie v1"
def part(b): return struct.pack(">I",len(b))+b
def value(secret,name,env,token,persistent,floor):
    s=secret.encode()
    kid=hkdf(s,P+b" key id",4).hex(); key=hkdf(s,P+b" mac",32)
    payload=token+bytes([1 if persistent else 0])+struct.pack(">Q",floor)
    m=part(P)+part(name.encode())+part(env.encode())+part(kid.encode())+part(payload)
    return "v1.%s.%s.%s"%(kid,b64(payload),b64(hmac.new(key,m,hashlib.sha256).digest()))
S1="8f1c3d5e7a9b0c2d4e6f8091a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5"
S2="correct horse battery staple, and then some more"
tok=bytes(range(32)); tok2=hashlib.sha256(b"token").digest()
rows=[]
for s,n,e,t,p,f in [(S1,"__Host-session","production",tok,False,0),(S1,"__Host-session","production",tok,True,0),
 (S1,"__Host-session","staging",tok,False,0),(S1,"session","development",tok,False,0),(S1,"__Secure-session","production",tok2,True,7),
 (S2,"__Host-session","production",tok2,False,2**64-1),(S2,"__Host-session","production",b"\xff"*32,True,1),(S2,"id","production",b"\0"*32,False,0)]:
    rows.append(dict(secret=s,name=n,env=e,token=t.hex(),persistent=p,floor=f,value=value(s,n,e,t,p,f)))
print("[\n"+",\n".join(" "+json.dumps(r) for r in rows)+"\n]")
