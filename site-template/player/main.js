// Entry of a release's page. Everything on it works before this runs, and without it; from here come
// comforts: chapters that seek, an album that plays on, a button that copies.

import { enhanceAlbum } from "./album.js";
import { enhanceChapters } from "./chapters.js";
import { enhanceCopyButtons } from "./copy.js";

enhanceChapters(document);
enhanceAlbum(document);
enhanceCopyButtons(document);
