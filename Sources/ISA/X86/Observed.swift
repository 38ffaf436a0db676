import Engine

// Memory that helpers access by themselves: micro-ops tell observers of theirs.
extension Hart {
  /// A helper's load, of which an observer hears.
  func observedLoad(_ va: UInt64, _ size: UInt64) -> UInt64 {
    tellObserver(va, Int(size), isStore: false)
    return load(va, size)
  }

  /// A helper's store, of which an observer hears.
  func observedStore(_ va: UInt64, _ size: UInt64, _ value: UInt64) {
    tellObserver(va, Int(size), isStore: true)
    store(va, size, value)
  }
}
