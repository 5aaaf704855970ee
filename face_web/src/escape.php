<?php

/**
 * The one function that templates call by itself. In the global namespace, so that a template needs no heading.
 */

declare(strict_types=1);

/** Text for HTML, between tags and inside quoted attributes. */
function e(string|int|float|null $text): string
{
    return htmlspecialchars((string) $text, ENT_QUOTES | ENT_SUBSTITUTE | ENT_HTML5, 'UTF-8');
}
