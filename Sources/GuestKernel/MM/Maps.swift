// The text of /proc/pid/maps.
//
// - SeeAlso: Linux, `fs/proc/task_mmu.c`, `show_map_vma`

extension AddressSpace {
  /// What `/proc/pid/maps` shows.
  public func mapsText() -> String {
    var text = ""
    for vma in vmas { text += line(vma) }
    return text
  }

  private func line(_ vma: VMA) -> String {
    var device = DeviceNumber(0, 0)
    var inode: UInt64 = 0
    var offset: UInt64 = 0
    var name = vma.name ?? ""
    switch vma.backing {
    case .anonymous, .special: break
    case .file(let file):
      device = file.inode.fileSystem.device
      inode = file.inode.number
      offset = vma.pageOffset << 12
      name = file.mapsName
    case .shared:
      device = DeviceNumber(0, 1)
      offset = vma.pageOffset << 12
      name = "/dev/zero (deleted)"
    }
    var line = "\(hex(vma.start, 8))-\(hex(vma.end, 8)) "
    line += vma.prot & MM.PROT_READ != 0 ? "r" : "-"
    line += vma.prot & MM.PROT_WRITE != 0 ? "w" : "-"
    line += vma.prot & MM.PROT_EXEC != 0 ? "x" : "-"
    line += vma.isPrivate ? "p" : "s"
    line += " \(hex(offset, 8)) \(hex(UInt64(device.major), 2)):\(hex(UInt64(device.minor), 2))"
    line += " \(inode) "
    if name.isEmpty { return line + "\n" }
    // 25 + 6 * sizeof(void *) - 1 columns, and a space.
    line += String(repeating: " ", count: max(0, 72 - line.utf8.count)) + " "
    return line + escape(name) + "\n"
  }

  private func hex(_ value: UInt64, _ width: Int) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: max(0, width - digits.count)) + digits
  }

  /// A newline in a path is shown as `\012`.
  private func escape(_ name: String) -> String {
    name.utf8.contains(10)
      ? name.split(separator: "\n", omittingEmptySubsequences: false)
        .joined(separator: "\\012") : name
  }
}
