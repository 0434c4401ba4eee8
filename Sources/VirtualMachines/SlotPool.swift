import QEMU
import WarrenModel

/// Gives each VM a small number of its own, from which its QEMU's user id is made; the number stays while the VM exists.
struct SlotPool {
    private var slots: [VMID: Int] = [:]
    private var taken: Set<Int> = []

    /// The VM's number; a free one when it has none.
    mutating func take(for id: VMID) -> Int {
        if let slot = slots[id] { return slot }
        var slot = 0
        while taken.contains(slot) { slot += 1 }
        slots[id] = slot
        taken.insert(slot)
        return slot
    }

    /// Keeps the number that a VM's files belong to since an earlier daemon.
    mutating func reserve(_ id: VMID, directory: String, first: UInt32) {
        guard let owner = (try? VMDirectory(path: directory + "/" + id.description))?.owner, owner >= first else {
            return
        }
        let slot = Int(owner - first)
        guard slot < 65_536, !taken.contains(slot) else { return }
        slots[id] = slot
        taken.insert(slot)
    }

    /// Frees the number of a VM that is gone.
    mutating func give(back id: VMID) {
        if let slot = slots.removeValue(forKey: id) { taken.remove(slot) }
    }
}
