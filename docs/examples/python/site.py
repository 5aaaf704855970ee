"""A site that lets people in by face login, with the standard library only. Run it: see docs/integrate.md."""

import json
import os
import secrets
from html import escape
from http.cookies import SimpleCookie
from socketserver import ThreadingMixIn
from urllib.parse import parse_qsl, urlencode, urlsplit
from urllib.request import urlopen
from wsgiref.simple_server import WSGIServer, make_server

LOGIN, RETURN_TO = os.environ["FACE_LOGIN"], os.environ["RETURN_TO"]  # the return address exactly as registered
CLIENT, SECRET = os.environ["CLIENT_ID"], os.environ["CLIENT_SECRET"]
FORM = {"grant_type": "authorization_code", "return_to": RETURN_TO, "client_id": CLIENT, "client_secret": SECRET}
COOKIE = "Path=/; HttpOnly; SameSite=Lax" + ("; Secure" if RETURN_TO.startswith("https:") else "")
sessions = {}  # a real site's own sessions go here


def site(request, respond):
    cookie = SimpleCookie(request.get("HTTP_COOKIE", "")).get("python_example")
    session = sessions.get(cookie.value, {}) if cookie else {}
    query = dict(parse_qsl(request["QUERY_STRING"]))
    status, page = "200 OK", '<a href="/login">Sign in</a>'
    if request["PATH_INFO"] == "/login":
        state = secrets.token_urlsafe()
        question = urlencode({"client": CLIENT, "return_to": RETURN_TO, "state": state})
        return send_to(f"{LOGIN}/login?{question}", session | {"state": state}, respond)
    if request["PATH_INFO"] == urlsplit(RETURN_TO).path:
        try:
            asked = session.pop("state")  # good for one answer; missing when no login was begun in this browser
            if not secrets.compare_digest(asked.encode(), query["state"].encode()):
                raise ValueError("the answer to another login")
            form = urlencode({**FORM, "code": query["code"]}).encode()
            with urlopen(f"{LOGIN}/exchange", form, timeout=10) as answer:  # OSError for a status of 400, 401, ...
                return send_to("/", {"who": json.load(answer)}, respond)  # look your user up by who["subject"]
        except (KeyError, ValueError, OSError):
            status, page = "403 Forbidden", 'Not signed in. <a href="/login">Try again</a>'
    elif who := session.get("who"):
        page = "Signed in as " + escape(f"{who['email']} ({who['subject']}) by {' + '.join(who['amr'])}")
    respond(status, [("Content-Type", "text/html; charset=utf-8")])
    return [page.encode()]


def send_to(address, session, respond):
    name = secrets.token_urlsafe()  # a new one at each step: nobody can have planted it
    sessions[name] = session
    respond("302 Found", [("Location", address), ("Set-Cookie", f"python_example={name}; {COOKIE}")])
    return []


class Server(ThreadingMixIn, WSGIServer):
    """A browser keeps spare connections open; none may hold up the others."""


make_server("127.0.0.1", int(os.environ.get("PORT", "8001")), site, Server).serve_forever()
