<?php

/**
 * From a request to an answer: finds the route, holds it to the route's rules, lets the page answer, and turns whatever
 * goes wrong into a page that tells nothing but what to do. The only broad catch of the site is here, and it never
 * answers yes.
 */

declare(strict_types=1);

namespace FaceWeb;

use FaceWeb\FaceServer\Refused;
use FaceWeb\FaceServer\Unreachable;
use FaceWeb\Http\Access;
use FaceWeb\Http\HttpError;
use FaceWeb\Http\Request;
use FaceWeb\Http\Response;
use FaceWeb\Http\Route;
use FaceWeb\Http\SecurityHeaders;
use FaceWeb\People\Person;

final class App
{
    public function __construct(private readonly Services $services)
    {
    }

    public static function main(): void
    {
        ini_set('display_errors', '0');
        ini_set('log_errors', '1');
        ini_set('zend.exception_ignore_args', '1');
        header_remove('X-Powered-By');
        try {
            $app = new self(Services::of(Config::fromEnvironment()));
        } catch (\Throwable $error) {
            Log::about($id = RequestId::fresh());
            error_log((string) $error);
            $text = "The site is not in order. Its operator finds the reason in the log under $id\n";
            $response = Response::text($text, 500)->with(RequestId::HEADER, $id);
            SecurityHeaders::plain()->on($response)->send();
            return;
        }
        $app->handle(Request::fromGlobals(...))->send();
    }

    /** @param \Closure(): Request $arriving reads the request, which may be too large to be read */
    public function handle(\Closure $arriving): Response
    {
        $request = null;
        $this->services->about(RequestId::fresh());
        try {
            $request = $arriving();
            $this->services->about(RequestId::of($request, $this->services->sources()));
            $response = $this->answer($request);
        } catch (HttpError $error) {
            $response = $this->errorPage($error, $request);
        } catch (Refused | Unreachable $error) {
            error_log('daemon: ' . $error->getMessage());
            $response = $this->errorPage(HttpError::unavailable(), $request);
        } catch (\Throwable $error) {
            error_log("incident: $error");
            $response = $this->errorPage(HttpError::incident(), $request);
        }
        $response = SecurityHeaders::for($this->services->config->web->baseUrl)->on($response)
            ->with(RequestId::HEADER, $this->services->requestId());
        return $request?->method === 'HEAD' ? $response->withoutBody() : $response;
    }

    private function answer(Request $request): Response
    {
        $route = Router::match($request->method, $request->path);
        $page = $this->services->page($route->page);
        if ($route->access === Access::Sessionless) {
            return $page->{$route->action}($request);
        }
        $elsewhere = $this->otherName($request);
        if ($elsewhere !== null) {
            return Response::redirect($elsewhere);
        }
        $visit = $this->visit($request);
        if ($route->needsToken()) {
            $visit->csrf->check($request);
        }
        return $this->turnedAway($route, $visit) ?? $page->{$route->action}($visit, $route->parameters);
    }

    private function visit(Request $request): Visit
    {
        $session = $this->services->session();
        $session->touch();
        $web = $this->services->config->web;
        return new Visit(
            $request,
            Language::accepted($request->header('accept-language'), $this->services->config->keepCrops),
            $session,
            new Csrf($session, $web->baseUrl),
            $this->services->sources()->of($request->remoteAddress, $request->header('x-forwarded-for')),
            $this->personOf($session),
            $web,
        );
    }

    /** Whoever was disabled, deleted or given another password since is logged in no more. */
    private function personOf(Session $session): ?Person
    {
        $id = $session->userId();
        $person = $id === null ? null : $this->services->people()->byId($id);
        if ($person !== null && $person->isActive() && $session->belongsTo($person)) {
            return $person;
        }
        if ($id !== null) {
            $session->end();
        }
        return null;
    }

    /** Where the route asks for more than the visitor has shown: to the page where it can be shown. */
    private function turnedAway(Route $route, Visit $visit): ?Response
    {
        $access = $route->access;
        if (!$access->needsLogin()) {
            return null;
        }
        if ($visit->person === null) {
            return $this->ask($visit, '/login', 'notice.login_first');
        }
        if ($access->needsAdmin() && !$visit->person->isAdmin()) {
            throw HttpError::notFound();
        }
        $shown = $access->needsFresh()
            ? $visit->session->fresh($this->services->config->web->freshLoginS)
            : !$access->needsAdmin() || $visit->session->confirmed();
        $next = $access->needsAdmin() ? 'admin' : 'account';
        return $shown ? null : $this->ask($visit, "/confirm?next=$next", null);
    }

    private function ask(Visit $visit, string $location, ?string $notice): Response
    {
        if ($visit->request->wantsJson()) {
            $message = $visit->text('capture.confirm_first');
            return Response::json(['ok' => false, 'code' => 'confirm', 'message' => $message], 403);
        }
        return $visit->redirect($location, $notice);
    }

    /** On one machine `localhost` and 127.0.0.1 are the same site to people, but not to cookies and origins. */
    private function otherName(Request $request): ?string
    {
        $web = $this->services->config->web;
        $host = strtolower((string) $request->header('host'));
        $own = (string) substr($web->baseUrl, strpos($web->baseUrl, '://') + 3);
        $name = (string) preg_replace('/:\d+\z/', '', $host);
        if ($request->method !== 'GET' || $host === $own || !$web->isLoopback() || !Loopback::holds($name)) {
            return null;
        }
        $query = $request->query === [] ? '' : '?' . http_build_query($request->query);
        return $web->baseUrl . $request->path . $query;
    }

    /** Rendered without session and database: they may be what is broken. */
    private function errorPage(HttpError $error, ?Request $request): Response
    {
        $keepsCrops = $this->services->config->keepCrops;
        $language = Language::accepted($request?->header('accept-language'), $keepsCrops);
        $texts = [
            'title' => $language->text("error.$error->key.title"),
            'text' => $language->text("error.$error->key.text", [
                'address' => $this->services->config->web->baseUrl,
            ]),
            'reference' => $language->text('error.reference', ['id' => $this->services->requestId()]),
        ];
        if ($request?->wantsJson() === true) {
            $message = $error->status < 500 ? $texts['text'] : "$texts[text] $texts[reference]";
            $said = ['ok' => false, 'code' => $error->key, 'message' => $message];
            $response = Response::json($said, $error->status);
        } else {
            $view = new View($language, $this->services->config->web->siteName, '');
            $response = Response::html($view->page('error', $texts), $error->status);
        }
        foreach ($error->headers as $name => $value) {
            $response = $response->with($name, $value);
        }
        return $response;
    }
}
