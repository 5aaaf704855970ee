<?php

/**
 * Which page answers which address. The whole site is in this table.
 */

declare(strict_types=1);

namespace FaceWeb;

use FaceWeb\Http\Access;
use FaceWeb\Http\HttpError;
use FaceWeb\Http\Route;
use FaceWeb\Page\AccountPage;
use FaceWeb\Page\AdminPage;
use FaceWeb\Page\CapturePage;
use FaceWeb\Page\ConfirmPage;
use FaceWeb\Page\Exchange;
use FaceWeb\Page\HomePage;
use FaceWeb\Page\LoginPage;
use FaceWeb\Page\RegisterPage;

final class Router
{
    /** @return list<Route> */
    public static function routes(): array
    {
        return [
            new Route('GET', '/', HomePage::class, 'home'),
            new Route('GET', '/healthz', HomePage::class, 'health', Access::Sessionless),

            new Route('GET', '/login', LoginPage::class, 'show'),
            new Route('POST', '/login/face', LoginPage::class, 'face'),
            new Route('POST', '/login/password', LoginPage::class, 'password'),
            new Route('GET', '/login/second', LoginPage::class, 'showSecond'),
            new Route('POST', '/login/second', LoginPage::class, 'second'),
            new Route('POST', '/logout', LoginPage::class, 'logout'),
            new Route('GET', '/confirm', ConfirmPage::class, 'show', Access::Person),
            new Route('POST', '/confirm', ConfirmPage::class, 'confirm', Access::Person),

            new Route('POST', '/capture', CapturePage::class, 'begin'),
            new Route('POST', '/capture/step', CapturePage::class, 'step'),
            new Route('POST', '/capture/detect', CapturePage::class, 'detect'),

            new Route('GET', '/register', RegisterPage::class, 'show'),
            new Route('POST', '/register', RegisterPage::class, 'register'),
            new Route('GET', '/registered', RegisterPage::class, 'done'),

            new Route('GET', '/account', AccountPage::class, 'show', Access::Person),
            new Route('GET', '/account/captures', AccountPage::class, 'captures', Access::Fresh),
            new Route('POST', '/account/captures', AccountPage::class, 'addCaptures', Access::Fresh),
            new Route('POST', '/account/face/remove', AccountPage::class, 'removeFace', Access::Fresh),
            new Route('POST', '/account/password', AccountPage::class, 'changePassword', Access::Fresh),
            new Route('POST', '/account/email', AccountPage::class, 'changeEmail', Access::Fresh),
            new Route('POST', '/account/delete', AccountPage::class, 'delete', Access::Fresh),

            new Route('GET', '/admin', AdminPage::class, 'people', Access::Admin),
            new Route('GET', '/admin/audit', AdminPage::class, 'audit', Access::Admin),
            new Route('GET', '/admin/status', AdminPage::class, 'status', Access::Admin),
            new Route('POST', '/admin/invites', AdminPage::class, 'invite', Access::FreshAdmin),
            new Route('POST', '/admin/people/{id}/{action}', AdminPage::class, 'act', Access::FreshAdmin),

            new Route('POST', '/exchange', Exchange::class, 'answer', Access::Sessionless),
        ];
    }

    /** @throws HttpError 404, or 405 where the address exists for another method */
    public static function match(string $method, string $path): Route
    {
        $method = $method === 'HEAD' ? 'GET' : $method;
        $allowed = [];
        foreach (self::routes() as $route) {
            $matching = $route->matching($path);
            if ($matching?->method === $method) {
                return $matching;
            }
            $allowed = $matching === null ? $allowed : [...$allowed, $matching->method];
        }
        throw $allowed === [] ? HttpError::notFound() : HttpError::method($allowed);
    }
}
