<?php

/**
 * Renders a template inside the layout. Templates get plain values and escape them with e(); every one has
 *   $t(key, values)       a text of the visitor's language, not yet escaped
 *   $part(name, values)   another template in place, its output already HTML
 *   $group(prefix)        all texts under a prefix, for the camera's script
 *   $csrf                 the token for hidden fields and for the camera
 *   $site, $registers      the site's name, whether it takes new accounts
 *   $person               who is logged in, or null
 * Knows templates/ and nothing of requests.
 */

declare(strict_types=1);

namespace FaceWeb;

use FaceWeb\People\Person;

final class View
{
    private const DIRECTORY = __DIR__ . '/../templates';
    private const NARROW = [
        'captures',
        'confirm',
        'error',
        'login_refused',
        'login_second',
        'register_closed',
        'registered',
    ];

    public function __construct(
        private readonly Language $language,
        private readonly string $site,
        private readonly string $csrf,
        private readonly ?Person $person = null,
        private readonly bool $registers = false,
    ) {
    }

    /**
     * A whole page.
     *
     * @param array<string, mixed> $values of the template; `title` (else the text `<template>.title`), `camera` and
     *        `notice` are the layout's too
     */
    public function page(string $template, array $values = []): string
    {
        return $this->part('layout', [
            'language' => $this->language->tag(),
            'title' => $values['title'] ?? $this->language->text(strtr("$template.title", '/', '_')),
            'camera' => $values['camera'] ?? false,
            'width' => in_array($template, self::NARROW, true) ? 'narrow' : '',
            'notice' => $values['notice'] ?? null,
            'content' => $this->part($template, $values),
        ]);
    }

    /** @param array<string, mixed> $values */
    public function part(string $template, array $values = []): string
    {
        $file = self::DIRECTORY . "/$template.php";
        if (preg_match('~\A[a-z_]+(/[a-z_]+)?\z~', $template) !== 1 || !is_file($file)) {
            throw new \LogicException("there is no template $template");
        }
        return self::output($file, $values + [
            't' => $this->language->text(...),
            'group' => $this->language->group(...),
            'part' => $this->part(...),
            'csrf' => $this->csrf,
            'site' => $this->site,
            'person' => $this->person,
            'registers' => $this->registers,
        ]);
    }

    /**
     * For a data block: no `<`, quote or ampersand of a text can end it.
     *
     * @param array<string, string> $texts
     */
    public static function json(array $texts): string
    {
        $flags = JSON_HEX_TAG | JSON_HEX_AMP | JSON_HEX_APOS | JSON_HEX_QUOT | JSON_UNESCAPED_UNICODE;
        return json_encode($texts, $flags | JSON_FORCE_OBJECT | JSON_THROW_ON_ERROR);
    }

    /** @param array<string, mixed> $values */
    private static function output(string $file, array $values): string
    {
        require_once __DIR__ . '/escape.php';
        extract($values, EXTR_SKIP);
        ob_start();
        try {
            require $file;
            return (string) ob_get_contents();
        } finally {
            ob_end_clean();
        }
    }
}
