<?php

/**
 * One request with what is known of who sent it: language, session, person, the address that counts. What pages get.
 */

declare(strict_types=1);

namespace FaceWeb;

use FaceWeb\Http\Request;
use FaceWeb\Http\Response;
use FaceWeb\People\Person;

final class Visit
{
    public function __construct(
        public readonly Request $request,
        public readonly Language $language,
        public readonly Session $session,
        public readonly Csrf $csrf,
        public readonly string $source,
        public readonly ?Person $person,
        private readonly WebOptions $web,
    ) {
    }

    /** The person of a page that nobody sees without being logged in. */
    public function person(): Person
    {
        return $this->person ?? throw new \LogicException('the route lets anybody in');
    }

    /** @param array<string, mixed> $values */
    public function page(string $template, array $values = [], int $status = 200): Response
    {
        $registers = $this->web->registration !== 'closed';
        $view = new View($this->language, $this->web->siteName, $this->csrf->token(), $this->person, $registers);
        $notice = $this->session->take('notice');
        $page = $view->page($template, $values + ['notice' => is_string($notice) ? $notice : null]);
        return Response::html($page, $status)->with('Vary', 'Accept-Language, Cookie');
    }

    /** @param string|null $notice key of a text that the next page shows, once */
    public function redirect(string $location, ?string $notice = null): Response
    {
        if ($notice !== null) {
            $this->session->set('notice', $this->language->text($notice));
        }
        return Response::redirect($location);
    }

    /** @param array<string, string|int> $values */
    public function text(string $key, array $values = []): string
    {
        return $this->language->text($key, $values);
    }
}
