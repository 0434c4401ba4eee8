// Disco
