// Entry of a release's page. Everything on it works before this runs, and without it; from here come
// comforts: chapters that seek, a choice of quality that keeps the place, an album that plays on, a button that
// copies.

import { enhanceAlbum } from "./album.js";
import { enhanceChapters } from "./chapters.js";
import { enhanceCopyButtons } from "./copy.js";
import { enhanceQuality } from "./quality.js";

enhanceQuality(document);
enhanceChapters(document);
enhanceAlbum(document);
enhanceCopyButtons(document);
